"""Check a sealed data set: ``mmppvit verify``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['verify', *sys.argv[1:]]))
