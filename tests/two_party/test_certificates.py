"""Owner and host talk to each other, over TLS, and to nobody else."""
from __future__ import annotations

import base64
import shutil

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from mmppvit.two_party.certificates import channel_credentials, create_identity, fingerprint
from mmppvit.two_party.connection import HostConnection, HostError
from mmppvit.two_party.host import RateLimit, start_host
from mmppvit.two_party.messages import encode


def _pair(folder):
    host, owner = folder / 'host', folder / 'owner'
    shutil.copy(create_identity(host, 'host'), owner.parent)
    shutil.copy(create_identity(owner, 'owner'), host)
    shutil.move(folder / 'host.crt', owner)
    return host, owner


def _serve(folder):
    return start_host(lambda request: encode(dict(heard=True)), '127.0.0.1:0', folder, 1e12)


def test_mutual_tls(tmp_path):
    host, owner = _pair(tmp_path)
    server, port = _serve(host)
    connection = HostConnection(f'127.0.0.1:{port}', owner, 10)
    assert connection.call('x')[0] == dict(heard=True)
    connection.close()
    server.stop(0).wait()
    assert (host / 'host.key').stat().st_mode & 0o777 == 0o600
    assert fingerprint(host / 'host.crt') == fingerprint(owner / 'host.crt')


def test_strangers_are_refused(tmp_path):
    """Another owner, another host, and plaintext."""
    host, owner = _pair(tmp_path / 'a')
    other_host, other_owner = _pair(tmp_path / 'b')
    server, port = _serve(host)
    mixed = tmp_path / 'mixed'
    shutil.copytree(other_owner, mixed)
    shutil.copy(owner / 'host.crt', mixed)  # it knows the host, and the host does not know it
    for folder in (other_owner, mixed, None):
        with pytest.raises(HostError, match='did not answer'):
            HostConnection(f'127.0.0.1:{port}', folder, .3).call('x')
    server.stop(0).wait()
    server, port = _serve(other_host)
    with pytest.raises(HostError, match='did not answer'):
        HostConnection(f'127.0.0.1:{port}', owner, .3).call('x')
    server.stop(0).wait()


def test_what_is_missing_is_named(tmp_path):
    _, owner = _pair(tmp_path)
    with pytest.raises(FileExistsError, match='made already'):
        create_identity(owner, 'owner')
    (owner / 'owner.key').chmod(0o644)
    with pytest.raises(PermissionError, match='can be read by others'):
        channel_credentials(owner)
    (owner / 'owner.key').chmod(0o600)
    (owner / 'host.crt').unlink()
    with pytest.raises(FileNotFoundError, match=r'the host makes it with mmppvit host --init'):
        channel_credentials(owner)


def test_listening_in_plaintext_stays_on_this_machine():
    with pytest.raises(ValueError, match='not of this machine'):
        start_host(lambda request: request, '0.0.0.0:0', None)


def test_rates_are_limited():
    limit = RateLimit(100)
    assert limit.allows(600)
    assert not limit.allows(600)
    assert limit.allows(300)


def test_what_is_no_certificate(tmp_path):
    path = create_identity(tmp_path, 'host')
    der = bytearray(x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(
        serialization.Encoding.DER))
    der[der.index(b'\xa0\x03\x02\x01') + 4] = 106  # its version
    text = base64.encodebytes(der)
    for content in (b'', b'x', b'-----BEGIN CERTIFICATE-----\n' + text +
                    b'-----END CERTIFICATE-----\n'):
        path.write_bytes(content)
        with pytest.raises(ValueError, match='is no certificate'):
            fingerprint(path)
