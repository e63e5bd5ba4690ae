"""Who runs the workers that seal: processes of this machine, or a cluster of Dask or Ray.

Whatever the engine, one process reads the plan, hands out images and writes the journal, so that a
run that was killed goes on, and the files are the same. Workers write files whole, so an image may
be sealed twice: retries, lost workers and their replacement are the engine's.

No key goes through an engine. Workers of Dask and Ray get a `KeySource`, the name of a file or a
command, and read the key themselves; names of images and folders do go through it.
"""
from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import cv2

from mmppvit.encryption import KeyFileError
from mmppvit.encryption.key_sources import KeySource
from mmppvit.sealed.job import SealJob
from mmppvit.sealed.seal_images import Result, Sealer, Task
from mmppvit.utils.user_errors import RunError, UserError, need_packages

__all__ = ['ENGINES', 'Engine', 'Order', 'make_order', 'seal_batch']

T = TypeVar('T')
_BATCH = 8  # images of one task of an engine, whose overhead is about that of an image
_AHEAD = 4  # batches for each worker that are under way
_RETRIES = 3
_LOST = 'was lost, perhaps for want of memory: --resume'


@dataclass(frozen=True)
class Order:
    """What workers need. Pickled, it has no key but says where to find it.

    Args:
        job (SealJob): How to seal.
        resume (bool): As of :class:`Sealer`.
        places (tuple[Path, ...]): As of :class:`Sealer`.
        key_source (KeySource, optional): Of the job's key.
        number (str): Tells one run's order from another's.
        write (bool): As of :class:`Sealer`.
    """
    job: SealJob
    resume: bool
    places: tuple[Path, ...]
    key_source: KeySource | None
    number: str
    write: bool = True

    def sealer(self) -> Sealer:
        """What does the work in a process."""
        return Sealer(self.job, self.resume, self.places, self.write)

    def __reduce__(self) -> tuple:
        if self.job.key is not None and self.key_source is None:
            raise UserError('workers of an engine read the key themselves: give it by --key-file '
                            'or --key-command, which their machines have as well')
        job = {field.name: getattr(self.job, field.name) for field in fields(SealJob)
               if field.name != 'key'}
        fingerprint = self.job.key and self.job.key.fingerprint
        return _order_of, (job, fingerprint, self.resume, self.places, self.key_source, self.number,
                           self.write)


def make_order(job: SealJob, resume: bool, places: tuple[Path, ...],
               key_source: KeySource | None, write: bool = True) -> Order:
    """The order to seal ``job``; paths are absolute, as workers may be in other folders."""
    source = None if key_source is None or job.key is None else key_source.find()
    if source is None and job.key is not None and job.key.path is not None:
        source = KeySource(job.key.path)
    if source is not None and source.fd is not None:
        source = None
    if source is not None and source.file is not None:
        source = replace(source, file=Path(source.file).expanduser().absolute())
    job = replace(job, img_dir=job.img_dir.absolute(), out=job.out.absolute(),
                  ann_file=job.ann_file and job.ann_file.absolute())
    places = tuple(dict.fromkeys(place.absolute() for place in places))
    return Order(job, resume, places, source, uuid.uuid4().hex, write)


def _order_of(job: dict, fingerprint: str | None, resume: bool, places: tuple[Path, ...],
              source: KeySource | None, number: str, write: bool) -> Order:
    key = None
    if fingerprint is not None:
        key = source.load()
        if key.fingerprint != fingerprint:
            raise KeyFileError(f'a worker finds the key of fingerprint {key.fingerprint}, and the '
                               f'run has {fingerprint}: give its machine the same key')
    return Order(SealJob(**job, key=key), resume, places, source, number, write)


Engine = Callable[[Order, Iterator[Task], int], Iterator[Result]]


# --- processes of this machine -------------------------------------------------------------------

_SEALER: Sealer | None = None


def _local(address: str | None) -> Engine:
    if address is not None:
        raise UserError('--engine-address is of a cluster: give --engine dask or ray with it')
    return _on_this_machine


def _on_this_machine(order: Order, tasks: Iterator[Task], num_workers: int) -> Iterator[Result]:
    """Results as they come; never more than a few images are under way."""
    if num_workers == 0:
        yield from map(order.sealer(), tasks)
        return
    # Forked workers start at once. Where that is not safe they read the key from its file again.
    method = 'fork' if sys.platform == 'linux' else 'spawn'
    with _without_opencv_threads(), ProcessPoolExecutor(
            num_workers, multiprocessing.get_context(method), _start_process, (order, )) as pool:
        try:
            pending = {pool.submit(_seal_one, task) for task in islice(tasks, 4 * num_workers)}
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                pending |= {pool.submit(_seal_one, t) for t in islice(tasks, len(finished))}
                for future in finished:
                    yield future.result()
        except BrokenProcessPool:
            raise RunError('a worker process was killed, perhaps for want of memory: --resume '
                           'with fewer --num-workers') from None
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _without_opencv_threads() -> Iterator[None]:
    """A forked process would wait for ever for threads of OpenCV that it does not have."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _start_process(order: Order) -> None:
    global _SEALER
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the parent's to report
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _SEALER = order.sealer()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever, and hold its lock."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _seal_one(task: Task) -> Result:
    return _SEALER(task)


# --- clusters ------------------------------------------------------------------------------------

_SEALERS: dict[str, Sealer] = {}


def seal_batch(order: Order, tasks: list[Task]) -> list[Result]:
    """What a task of an engine does, in a process of the engine's."""
    if order.number not in _SEALERS:
        _SEALERS.clear()
        _SEALERS[order.number] = order.sealer()
    return [_SEALERS[order.number](task) for task in tasks]


def _connected(name: str, address: str | None, connect: Callable[[], T]) -> T:
    """What ``connect`` gives; an address that leads nowhere is a user's error."""
    try:
        return connect()
    except Exception as err:  # of many kinds, by what is wrong with the address
        if address is None:
            raise
        reason = ' '.join(str(err).split())
        raise UserError(f'no cluster of {name} answers at {address} ({reason:.200}): correct '
                        '--engine-address, or start it; then --resume') from None


def _same(order: Order) -> Order:
    return order


def _batches(tasks: Iterator[Task]) -> Iterator[list[Task]]:
    while batch := list(islice(tasks, _BATCH)):
        yield batch


def _dask(address: str | None) -> Engine:
    need_packages('distributed')

    def run(order: Order, tasks: Iterator[Task], num_workers: int) -> Iterator[Result]:
        from distributed import Client, LocalCluster, as_completed
        from distributed.scheduler import KilledWorker
        with ExitStack() as stack:
            where = address
            if where is None:  # encrypted, as whoever reaches a scheduler runs code in its workers
                where = stack.enter_context(LocalCluster(
                    n_workers=max(num_workers, 1), threads_per_worker=1, security=True,
                    dashboard_address=None))
            client = stack.enter_context(_connected('Dask', address, lambda: Client(where)))
            # A task, and not scattered: what was scattered is lost with its worker.
            shared = client.submit(_same, order, pure=False)
            batches = _batches(tasks)

            def submit(count: int) -> list:
                return [client.submit(seal_batch, shared, batch, pure=False, retries=_RETRIES)
                        for batch in islice(batches, count)]

            under_way = as_completed(submit(_AHEAD * max(sum(client.nthreads().values()), 1)))
            try:
                for future in under_way:
                    yield from future.result()
                    under_way.update(submit(1))
            except KilledWorker:
                raise RunError(f'a worker of Dask {_LOST}') from None
            except CancelledError:  # all that is told here of an order that no worker could open
                raise RunError('the workers of Dask were lost, or cannot read the key: their log '
                               'says why. Then --resume') from None
    return run


def _ray(address: str | None) -> Engine:
    need_packages('ray')

    def run(order: Order, tasks: Iterator[Task], num_workers: int) -> Iterator[Result]:
        import ray
        started = not ray.is_initialized()
        if started:
            _connected('Ray', address, lambda: ray.init(
                address or 'local', include_dashboard=False, log_to_driver=False,
                num_cpus=None if address else max(num_workers, 1)))
        try:
            shared, batches = ray.put(order), _batches(tasks)
            function = ray.remote(num_cpus=1, max_retries=_RETRIES)(seal_batch)
            workers = max(int(ray.cluster_resources().get('CPU', 1)), 1)
            pending = [function.remote(shared, batch)
                       for batch in islice(batches, _AHEAD * workers)]
            while pending:
                (first, ), pending = ray.wait(pending)
                yield from ray.get(first)
                pending += [function.remote(shared, batch) for batch in islice(batches, 1)]
        except ray.exceptions.RayTaskError as err:  # what seal_batch raised
            raise err.cause from None
        except ray.exceptions.RayError as err:
            raise RunError(f'a worker of Ray ({type(err).__name__}) {_LOST}') from None
        finally:
            if started:
                ray.shutdown()
    return run


# Each is called with the address of a cluster, or None, and gives what runs the tasks.
ENGINES: dict[str, Callable[[str | None], Engine]] = dict(local=_local, dask=_dask, ray=_ray)
