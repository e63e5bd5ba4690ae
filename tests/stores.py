"""Object stores for tests: fsspec's in memory, and S3 of moto's server."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmppvit.utils.remote_files import RemotePath

__all__ = ['s3_server', 'uploaded']


def uploaded(folder: Path, url: str, options: dict | None = None) -> RemotePath:
    """All files of ``folder`` at ``url``."""
    root = RemotePath(url, options)
    for path in sorted(folder.rglob('*')):
        if path.is_file():
            (root / path.relative_to(folder).as_posix()).write(path.read_bytes())
    return root


@contextmanager
def s3_server(monkeypatch) -> Iterator[dict]:
    """fsspec's storage options of a server with a bucket 'bucket'; skips without moto and s3fs."""
    server = pytest.importorskip('moto.server', reason='pip install moto flask flask-cors')
    pytest.importorskip('s3fs', reason='pip install s3fs')
    import boto3
    for name in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'):
        monkeypatch.setenv(name, 'testing')
    running = server.ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
    running.start()
    try:
        host, port = running.get_host_and_port()
        url = f'http://{host}:{port}'
        boto3.client('s3', endpoint_url=url, region_name='us-east-1').create_bucket(Bucket='bucket')
        yield dict(endpoint_url=url)
    finally:
        running.stop()
