"""Evaluate a detector, as MMDetection's tools/test.py: ``mmppvit test``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['test', *sys.argv[1:]]))
