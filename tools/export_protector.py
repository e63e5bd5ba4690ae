"""Export a protector to ONNX: ``mmppvit export``."""
import sys

from mmppvit.cli.app import main

if __name__ == '__main__':
    sys.exit(main(['export', *sys.argv[1:]]))
