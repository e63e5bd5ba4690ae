"""Draw what a pipeline makes of its images: ``mmppvit browse``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['browse', *sys.argv[1:]]))
