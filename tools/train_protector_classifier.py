"""Train a protector for classifiers: ``mmppvit train-protector-classifier``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['train-protector-classifier', *sys.argv[1:]]))
