"""Seal a data set: ``mmppvit seal``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['seal', *sys.argv[1:]]))
