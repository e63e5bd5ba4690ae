"""Identities of owner and host: a key and a certificate each; certificates are exchanged."""
from __future__ import annotations

import datetime
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mmppvit.utils.atomic import write_atomic
from mmppvit.utils.regular_files import read_regular

__all__ = ['HOST_NAME', 'channel_credentials', 'create_identity', 'fingerprint',
           'server_credentials']

HOST_NAME = 'mmppvit-host'  # in the host's certificate; the owner trusts that one alone
_DAYS = 3650


def create_identity(folder: str | Path, role: str) -> Path:
    """Make ``<role>.key`` (mode 0600) and ``<role>.crt``; returns the certificate's path.

    Args:
        folder (str | Path): It is made.
        role (str): 'host' or 'owner'.

    Raises:
        FileExistsError: There is one already.
    """
    key_path, path = Path(folder) / f'{role}.key', Path(folder) / f'{role}.crt'
    for existing in (key_path, path):
        if existing.exists():
            raise FileExistsError(f'{existing} exists: the identity of this {role} is made '
                                  'already; give its .crt to the other party')
    key = ec.generate_private_key(ec.SECP256R1())
    write_atomic(path, _certificate(key, role).public_bytes(serialization.Encoding.PEM))
    write_atomic(key_path, key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
    key_path.chmod(0o600)
    return path


def _certificate(key: ec.EllipticCurvePrivateKey, role: str) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f'mmppvit-{role}')])
    now = datetime.datetime.now(datetime.timezone.utc)
    return (x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(f'mmppvit-{role}')]),
                           critical=False)
            .sign(key, hashes.SHA256()))


def fingerprint(path: str | Path) -> str:
    """SHA-256 of a certificate, to compare over the telephone.

    Raises:
        ValueError: It is none.
    """
    try:
        certificate = x509.load_pem_x509_certificate(read_regular(path, 2**20))
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm) as err:
        raise ValueError(f'{path} is no certificate ({err}): the other party makes one with '
                         '--init') from None
    return certificate.fingerprint(hashes.SHA256()).hex(':')


def _read(folder: str | Path, own: str, other: str) -> tuple[bytes, bytes, bytes]:
    folder, contents = Path(folder), []
    for name, remedy in ((f'{own}.key', f'make it with: mmppvit {own} --init'),
                         (f'{own}.crt', f'make it with: mmppvit {own} --init'),
                         (f'{other}.crt', f'the {other} makes it with mmppvit {other} --init and '
                                          'gives you this file')):
        if not (folder / name).is_file():
            raise FileNotFoundError(f'no {folder / name}: {remedy}')
        contents.append((folder / name).read_bytes())
    mode = (folder / f'{own}.key').stat().st_mode
    if mode & 0o077:
        raise PermissionError(f'{folder / own}.key can be read by others: chmod 600 it')
    return tuple(contents)


def server_credentials(folder: str | Path) -> grpc.ServerCredentials:
    """TLS of the host, which talks to the owner of ``owner.crt`` alone.

    Raises:
        FileNotFoundError: A key or certificate is missing.
        PermissionError: Others can read the key.
    """
    key, own, other = _read(folder, 'host', 'owner')
    return grpc.ssl_server_credentials([(key, own)], other, require_client_auth=True)


def channel_credentials(folder: str | Path) -> grpc.ChannelCredentials:
    """TLS of the owner, who talks to the host of ``host.crt`` alone.

    Raises:
        FileNotFoundError: A key or certificate is missing.
        PermissionError: Others can read the key.
    """
    key, own, other = _read(folder, 'owner', 'host')
    return grpc.ssl_channel_credentials(other, key, own)
