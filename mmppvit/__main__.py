"""``python -m mmppvit`` is the command ``mmppvit``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main())
