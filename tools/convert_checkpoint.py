"""Convert a checkpoint: ``mmppvit convert``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['convert', *sys.argv[1:]]))
