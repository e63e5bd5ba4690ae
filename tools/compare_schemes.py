"""Compare schemes: ``mmppvit compare``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['compare', *sys.argv[1:]]))
