"""The owner's connection to the host: tries again, and never twice with different effect."""
from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# Workers of data loaders are forks that never use the connection; gRPC's own handlers for forks
# can wait for its threads for ever.
os.environ.setdefault('GRPC_ENABLE_FORK_SUPPORT', '0')

import grpc
from mmengine.logging import print_log
from torch import Tensor

from mmppvit.two_party.certificates import HOST_NAME, channel_credentials
from mmppvit.two_party.messages import MAX_MESSAGE, decode, encode
from mmppvit.utils.printable import printable
from mmppvit.utils.user_errors import UserError

__all__ = ['METHOD', 'HostConnection', 'HostError', 'check_loopback', 'grpc_options',
           'shift_port']

METHOD = '/mmppvit.TwoParty/Call'
_LOOPBACK = ('127.0.0.1', 'localhost', '[::1]')


class HostError(UserError):
    """The host refused, or cannot be reached."""


def grpc_options() -> list[tuple[str, int | str]]:
    """Limits of both sides."""
    return [('grpc.max_receive_message_length', MAX_MESSAGE),
            ('grpc.max_send_message_length', MAX_MESSAGE)]


def check_loopback(address: str) -> None:
    """Raise ValueError unless an address is of this machine: nothing else may go without TLS."""
    if address.rpartition(':')[0] not in _LOOPBACK:
        raise ValueError(f'{address} is not of this machine ({", ".join(_LOOPBACK)}), and images '
                         'do not travel without TLS: make certificates with --init on both sides')


def shift_port(address: str, rank: int) -> str:
    """Address of the host's process ``rank``: HOST:PORT -> HOST:(PORT + rank)."""
    if rank == 0:
        return address
    name, _, port = address.rpartition(':')
    if not port.isdigit() or port == '0':
        raise ValueError(f'{address}: several processes need a port that is known, and as many '
                         'after it')
    return f'{name}:{int(port) + rank}'


class HostConnection:
    """Sends requests in their order; a lost answer is asked for again.

    Args:
        address (str): HOST:PORT.
        certificates (str | Path, optional): Folder with ``owner.key``, ``owner.crt`` and
            ``host.crt``; None for plaintext, on loopback alone.
        patience (float): Seconds to wait for a host that does not answer.

    Attributes:
        sent, received (int): Bytes so far. waited (float): Seconds so far.
    """

    def __init__(self, address: str, certificates: str | Path | None,
                 patience: float = 300.) -> None:
        if certificates is None:
            check_loopback(address)
        self._credentials = None if certificates is None else channel_credentials(certificates)
        self.address = address
        self.patience = patience
        self.session = secrets.token_hex(16)
        self._seq = -1
        self._channel: grpc.Channel | None = None
        self.sent = self.received = 0
        self.waited = 0.

    def call(self, method: str, tensors: dict[str, Tensor] | None = None, *,
             numbered: bool = True, **header) -> tuple[dict, dict[str, Tensor], int]:
        """Answer of the host to a request, and the number of the request.

        Raises:
            HostError: It refused, or did not answer in time.
            ProtocolError: Its answer is not valid.
        """
        seq = self._seq + 1 if numbered else self._seq
        request = encode(dict(header, method=method, session=self.session, seq=seq), tensors)
        start = time.monotonic()
        answer, found = self._until_answered(request)
        self.waited += time.monotonic() - start
        if 'error' in answer:
            raise HostError(f'the host {self.address} refuses: '
                            f'{printable(str(answer["error"])[:1000])}')
        self._seq = seq
        return answer, found, seq

    def _until_answered(self, request: bytes) -> tuple[dict, dict[str, Tensor]]:
        deadline, pause, told = time.monotonic() + self.patience, .05, False
        while True:
            try:
                response = self._stub()(request, timeout=max(self.patience, 1.))
                self.sent += len(request)
                self.received += len(response)
                answer, tensors = decode(response)
                if answer.get('kind') != 'retry':
                    return answer, tensors
                reason = printable(str(answer.get('error'))[:1000])
            except grpc.RpcError as err:
                reason = f'{err.code().name}: {err.details()}'
                self.close()
            if time.monotonic() > deadline:
                raise HostError(f'the host {self.address} did not answer for {self.patience:.0f} '
                                f's ({reason[:300]}). When it is back, go on from the last '
                                'checkpoint with --resume')
            if not told and pause > .5:
                print_log(f'waiting for the host {self.address} ({reason[:200]})',
                          logger='current')
                told = True
            time.sleep(pause)
            pause = min(pause * 2, 5.)

    def _stub(self) -> Callable:
        if self._channel is None:
            options = grpc_options()
            if self._credentials is None:
                self._channel = grpc.insecure_channel(self.address, options)
            else:
                options.append(('grpc.ssl_target_name_override', HOST_NAME))
                self._channel = grpc.secure_channel(self.address, self._credentials, options)
        return self._channel.unary_unary(METHOD)

    def close(self) -> None:
        """Close the channel; the next call opens another."""
        if self._channel is not None:
            with suppress(Exception):
                self._channel.close()
            self._channel = None
