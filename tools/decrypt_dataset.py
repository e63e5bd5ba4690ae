"""Bring plain images back: ``mmppvit restore``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['restore', *sys.argv[1:]]))
