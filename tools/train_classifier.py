"""Train a classifier on encrypted images: ``mmppvit train-classifier``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['train-classifier', *sys.argv[1:]]))
