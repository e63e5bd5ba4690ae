"""Examine the installation: ``mmppvit doctor``, also where nothing is installed yet."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if __name__ == '__main__':
    try:
        from mmppvit.cli.app import main
    except ModuleNotFoundError:  # what the command line needs is missing, too
        from mmppvit.compat.installation import describe, examine
        print(describe(examine()))
        sys.exit(1)
    sys.exit(main(['doctor', *sys.argv[1:]]))
