"""CPU seconds of importing MMDetection alone, with what its registries import of mmppvit, and with
all of mmppvit; each in processes of their own, which take turns.

    python benchmarks/import_time.py --turns 5
"""
from __future__ import annotations

import argparse
import subprocess
import sys
from statistics import median

MMDET = 'from mmdet.utils import register_all_modules; register_all_modules()'
ALONE = ('import mmppvit.compat.on_import as hook; hook.AFTER.pop("mmdet.registry", None); '
         f'{MMDET}')  # with the fixes that it needs to be imported at all
CASES = {
    'MMDetection alone': ALONE,
    'and registered names': f'import mmppvit; {MMDET}; import mmppvit.register_names',
    'and all of mmppvit': f'import mmppvit; {MMDET}; import mmppvit.register',
}
TIME = ('; import resource; used = resource.getrusage(resource.RUSAGE_SELF); '
        'print(used.ru_utime + used.ru_stime)')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(';')[0])
    parser.add_argument('--turns', type=int, default=5)
    args = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(args.turns):
        for name, code in CASES.items():
            done = subprocess.run([sys.executable, '-c', code + TIME], capture_output=True,
                                  text=True, check=True)
            seconds[name].append(float(done.stdout.splitlines()[-1]))
    for name, found in seconds.items():
        print(f'{name:22} median {median(found):5.2f} s, least {min(found):5.2f} s')


if __name__ == '__main__':
    main()
