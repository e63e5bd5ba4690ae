"""Divide a detector into two halves: ``mmppvit split``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['split', *sys.argv[1:]]))
