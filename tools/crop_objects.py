"""Cut out the objects of a COCO data set: ``mmppvit crop-objects``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['crop-objects', *sys.argv[1:]]))
