"""Seals what clients carry from one request to the next: they cannot read it, and cannot change it."""

import base64
import hashlib
import hmac
import os
from collections.abc import Callable

NONCE, MAC = 16, 32  # bytes; they are around the sealed content


class Broken(Exception):
    """A text is not sealed with this key, or not for this."""


class Seal:
    """Seals bytes as text for a URL, and opens it again.

    :param key: returns the key, or raises if it cannot be found out
    :param purpose: what is sealed. Nothing that is sealed for another purpose can be opened
    """

    def __init__(self, key: Callable[[], bytes], purpose: str):
        self._key, self._purpose = key, purpose

    def seal(self, content: bytes, context: str = '') -> str:
        """Return a text.

        :param context: what must be known to open it
        """
        mac_key, mask_key = self._keys()
        nonce = os.urandom(NONCE)
        body = nonce + _masked(mask_key, nonce, content)
        return base64.urlsafe_b64encode(body + _mac(mac_key, context, body)).rstrip(b'=').decode()

    def open(self, text: str, context: str = '', least: int = 0) -> bytes:
        """Return what is sealed.

        :param least: bytes of the shortest content that may be sealed. A text that is too short needs no key, and so no request to storage
        :raises Broken: see there
        """
        try:
            raw = base64.b64decode(text + '=' * (-len(text) % 4), b'-_', validate=True)
        except ValueError:
            raise Broken()
        body, mac = raw[:-MAC], raw[-MAC:]
        if len(body) < NONCE + least:
            raise Broken()
        mac_key, mask_key = self._keys()
        if not hmac.compare_digest(mac, _mac(mac_key, context, body)):
            raise Broken()
        return _masked(mask_key, body[:NONCE], body[NONCE:])

    def _keys(self) -> tuple[bytes, bytes]:
        key, purpose = self._key(), self._purpose.encode()
        return hmac.digest(key, purpose + b': signature', 'sha256'), hmac.digest(key, purpose + b': mask', 'sha256')


def _mac(key: bytes, context: str, body: bytes) -> bytes:
    return hmac.digest(key, context.encode() + b'\0' + body, 'sha256')


def _masked(key: bytes, nonce: bytes, content: bytes) -> bytes:
    mask = hashlib.shake_256(key + nonce).digest(len(content))
    return (int.from_bytes(content, 'big') ^ int.from_bytes(mask, 'big')).to_bytes(len(content), 'big')
