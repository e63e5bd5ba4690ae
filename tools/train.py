"""Train a detector, as MMDetection's tools/train.py: ``mmppvit train``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['train', *sys.argv[1:]]))
