"""Run the two halves of a divided detector: ``mmppvit run-split``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['run-split', *sys.argv[1:]]))
