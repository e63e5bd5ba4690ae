"""Hostile bytes for every parser: no traceback but of user errors, no hang, little memory.

    python -m tests.fuzzing --inputs 1000000 [--seed 0] [--folder /dev/shm]

tells how many inputs each parser was given. Inputs are valid files and messages with bits flipped,
pieces cut out, doubled and exchanged, numbers and names replaced, digests and signatures renewed.
The address space is limited to 1 GiB more than at the start.
"""
from __future__ import annotations

import argparse
import faulthandler
import os
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import cv2

from tests.sealed.fuzzing import SealedFiles

__all__ = ['fuzz']

SLOW = 2.  # seconds of computing for one input
# A round takes some milliseconds: what takes microseconds has several inputs in each, what builds
# networks has one in several.
OFTEN = dict.fromkeys(('key', 'wrapped_key', 'json', 'metadata', 'pseudonym', 'sealed_image',
                       'message', 'preprocessor', 'certificate'), 8)
SELDOM = dict(signed_metadata=3, request=4, backbone_file=20)
HANGS = 60  # seconds after which Python says where it is, and ends


def _targets(folder: Path, rng: random.Random, two_party: bool) -> dict[str, Callable[[], None]]:
    targets = SealedFiles(folder / 'sealed', rng).targets()
    if two_party:
        from tests.two_party.fuzzing import TwoPartyFiles  # torch and MMDetection take 10 s
        (folder / 'two_party').mkdir()
        targets.update(TwoPartyFiles(folder / 'two_party', rng).targets())
    return targets


def fuzz(inputs: int, seed: int = 0, two_party: bool = True, folder: str | None = None,
         limit_memory: bool = False, watch: bool = False,
         tell: Callable[[Counter], None] = lambda counts: None) -> Counter:
    """Give ``inputs`` inputs to the parsers, in turns; how many each of them got.

    Raises:
        Exception: What is no error of the user's.
    """
    counts: Counter = Counter()
    cv2.utils.logging.setLogLevel(0)
    with tempfile.TemporaryDirectory(dir=folder) as root:
        targets = _targets(Path(root), random.Random(seed), two_party)
        if limit_memory:
            _limit_memory()
        for round_ in count():
            if counts.total() >= inputs:
                break
            if watch:
                faulthandler.dump_traceback_later(HANGS, exit=True)
            for name, target in targets.items():
                if round_ % SELDOM.get(name, 1) == 0:
                    for _ in range(OFTEN.get(name, 1)):
                        _give(name, target, counts)
            if round_ % 500 == 0:
                tell(counts)
        faulthandler.cancel_dump_traceback_later()
    return counts


def _give(name: str, target: Callable[[], None], counts: Counter) -> None:
    start = time.process_time()
    with suppress(ValueError, OSError):
        target()
    counts[name] += 1
    assert time.process_time() - start < SLOW, f'{name} hangs'


def _limit_memory() -> None:
    used = int(Path('/proc/self/statm').read_text().split()[0]) * os.sysconf('SC_PAGE_SIZE')
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, ) * 2)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--inputs', type=int, default=100_000)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--folder', help='for temporary files; in memory it is faster')
    args = parser.parse_args()
    start = time.monotonic()

    def tell(counts: Counter) -> None:
        print(f'{counts.total()} inputs, {time.monotonic() - start:.0f} s, {_peak()} MiB',
              flush=True)

    counts = fuzz(args.inputs, args.seed, True, args.folder, True, True, tell)
    print(f'{counts.total()} inputs, seed {args.seed}, {time.monotonic() - start:.0f} s, '
          f'{time.process_time():.0f} s of computing, peak memory {_peak()} MiB: {dict(counts)}')


if __name__ == '__main__':
    main()
