"""Seal, train, detect and attack, on synthetic images: ``mmppvit demo``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['demo', *sys.argv[1:]]))
