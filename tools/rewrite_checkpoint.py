"""Make a checkpoint loadable without pickle: ``mmppvit rewrite-checkpoint``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['rewrite-checkpoint', *sys.argv[1:]]))
