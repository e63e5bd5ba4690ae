"""A key of known bytes, its file, and what is derived from it for ever."""
from __future__ import annotations

SECRET = bytes(range(32))
HEX = SECRET.hex().encode()
FINGERPRINT = 'acf8b3be48cdee1bdccb9431f0f937f5'
WHOLE = f'mmppvit key 1\n{SECRET.hex()}\n{FINGERPRINT}\n'.encode()
NONCE = bytes.fromhex('defa612f0577bd4d2230a338a5da1d58')
SUB_KEY = bytes.fromhex('f3ee496c9c33c9a930b5d8e3f7dcd0b6584ff9a90cf7e89aeb67761791afb364')


def says_secret(text: str | bytes, secret: bytes = SECRET) -> bool:
    """Raw, in hex, or as Python writes bytes."""
    text = text.encode() if isinstance(text, str) else text
    return (secret in text or secret.hex().encode() in text.lower()
            or repr(secret).encode()[2:-1] in text)
