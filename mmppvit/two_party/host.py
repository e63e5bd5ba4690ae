"""The host of a two-party training: it has the backbone and sees patches without their order."""
from __future__ import annotations

import datetime
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent import futures
from pathlib import Path

import grpc
import torch.distributed as dist

from mmppvit.two_party.certificates import server_credentials
from mmppvit.two_party.connection import METHOD, check_loopback, grpc_options, shift_port
from mmppvit.two_party.host_session import HostSession
from mmppvit.two_party.patch_store import PatchStore
from mmppvit.two_party.request_journal import RequestJournal

__all__ = ['RateLimit', 'recording', 'serve', 'start_host']


class RateLimit:
    """So many bytes a second on average, with bursts of ten seconds.

    Args:
        rate (float): Bytes a second.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._left, self._time = 10 * rate, time.monotonic()
        self._lock = threading.Lock()

    def allows(self, count: int) -> bool:
        """Whether ``count`` more bytes are within the limit; if so they are counted."""
        with self._lock:
            now = time.monotonic()
            self._left = min(self._left + (now - self._time) * self.rate, 10 * self.rate)
            self._time = now
            # One message may exceed the burst, or it would never pass.
            if self._left < min(count, 10 * self.rate):
                return False
            self._left -= count
            return True


def start_host(handle: Callable[[bytes], bytes], address: str,
               certificates: str | Path | None, rate: float = 125e6) -> tuple[grpc.Server, int]:
    """Serve; returns the server and its port.

    Args:
        handle (Callable): Request -> response, see :class:`HostSession`.
        address (str): HOST:PORT, port 0 for a free one.
        certificates (str | Path, optional): Folder with ``host.key``, ``host.crt`` and
            ``owner.crt``; None for plaintext, on loopback alone.
        rate (float): Bytes a second that are taken.

    Raises:
        ValueError: The address cannot be listened on, or needs certificates.
    """
    limit = RateLimit(rate)

    def call(request: bytes, context: grpc.ServicerContext) -> bytes:
        if not limit.allows(len(request)):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, 'over the rate limit')
        return handle(request)

    service, method = METHOD.strip('/').split('/')
    server = grpc.server(futures.ThreadPoolExecutor(1), options=grpc_options(),
                         maximum_concurrent_rpcs=8)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
        service, {method: grpc.unary_unary_rpc_method_handler(call)}), ))
    try:
        if certificates is None:
            check_loopback(address)
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, server_credentials(certificates))
    except RuntimeError as err:
        raise ValueError(f'{address} cannot be listened on: {err}') from err
    server.start()
    return server, port


def serve(work_dir: Path, listen: str, certificates: Path | None, device: str = 'cpu',
          patches: Path | None = None, snapshot_every: int = 100, max_checkpoints: int = 1000,
          max_mbit: float = 1000., record: Path | None = None,
          told: Callable[[str], None] = print) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        work_dir (Path): Snapshots and checkpoints.
        listen (str): ADDRESS:PORT.
        certificates (Path, optional): None for plaintext, on addresses of this machine alone.
        device (str): Where the backbone computes.
        patches (Path, optional): Sealed images that the owner gave beforehand.
        snapshot_every (int): Steps that a killed host repeats at most.
        max_checkpoints (int): Of one run.
        max_mbit (float): Rate that is taken from the owner, in Mbit/s.
        record (Path, optional): File for all that is received, as an attacker would keep it.
        told (Callable): Gets the line that says where it listens.

    Under ``torchrun`` each process listens on a port of its own, from that of ``listen`` on, for
    the owner's process of the same rank.
    """
    rank, distributed = _join_group(device)
    listen = shift_port(listen, rank)
    if device == 'cuda' and distributed:
        device = f'cuda:{os.environ["LOCAL_RANK"]}'
    store = None if patches is None else PatchStore(patches)
    session = HostSession(work_dir, device, store, snapshot_every, max_checkpoints, distributed)
    if record is not None and distributed:
        record = record.with_name(f'{record.name}.{rank}')
    handle = session.handle if record is None else recording(session.handle, record)
    server, port = start_host(handle, listen, certificates, max_mbit * 1e6 / 8)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    told(f'listening on {listen.rpartition(":")[0]}:{port}')
    stop.wait()
    server.stop(5).wait()


def _join_group(device: str) -> tuple[int, bool]:
    """Rank, and whether there are others."""
    if int(os.environ.get('WORLD_SIZE', 1)) == 1:
        return 0, False
    if not dist.is_initialized():
        dist.init_process_group('nccl' if device.startswith('cuda') else 'gloo',
                                timeout=datetime.timedelta(minutes=5))
    return dist.get_rank(), True


def recording(handle: Callable[[bytes], bytes], path: Path) -> Callable[[bytes], bytes]:
    """``handle``, which keeps all that it gets in a file."""
    journal = RequestJournal(path)

    def recorded(request: bytes) -> bytes:
        journal.append(request)
        return handle(request)

    return recorded
