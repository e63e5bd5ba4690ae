"""Attack a sealed data set: ``mmppvit attack``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['attack', *sys.argv[1:]]))
