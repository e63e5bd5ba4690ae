"""Make a key: ``mmppvit keygen``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['keygen', *sys.argv[1:]]))
