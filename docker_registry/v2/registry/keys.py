"""The keys that sign what clients carry: the state of uploads, and tokens for logins.

A key is made of a secret, and of the names of the place where the registry keeps its images. So two registries with the same secret do not
accept each other's tokens. Nobody can guess anything from a token: the secret is random.
"""

import hmac
import json
import os
import time

from docker_registry.core import exceptions
from docker_registry.v2.registry import errors, layout
from docker_registry.v2.registry.absence import Absence, looking_again
from docker_registry.v2.registry.concurrency import CommonCall
from docker_registry.v2.registry.storage import Stat, Storage

SIZE = 32  # bytes of the stored secret
PAUSE = 1  # seconds after which a process reads a new secret again before it uses it
SETTLED_SECONDS = 10  # after which nobody who began before the secret was there overwrites it any more


class Keys:
    """All keys of a registry. Each process reads the secret once, when it first needs a key.

    The first process stores a random secret. If two do so at the same moment, the later secret stays: Swift compares `If-None-Match: *`
    before it stores the bytes, and Ceph not at all. So processes pause before they use a new secret, and read it each time until it has
    settled.

    :param configured: the secret that the operator has set, or '' for the stored one
    """

    def __init__(self, storage: Storage, absence: Absence, configured: str = ''):
        self._storage, self._absence = storage, absence
        self._secret = configured.encode() or None
        self._finding = CommonCall(self._find)
        self._place: list[str] = []
        self._first_seen = float('inf')

    def key(self, purpose: str) -> bytes:
        """Return the 32-byte key for a purpose.

        :raises BrokenError: the stored secret is damaged
        :raises Unavailable: storage cannot tell whether there is a secret
        :raises: the errors of the driver, if storage does not answer
        """
        secret = self._secret or self._finding.result()
        self._place = self._place or self._storage.identity()
        return hmac.digest(secret, json.dumps([*self._place, purpose]).encode(), 'sha256')

    @looking_again
    def _find(self) -> bytes:
        secret, written = self._read()
        if len(secret) != SIZE:
            raise _broken(f'has {len(secret)} bytes instead of {SIZE}. Restore it, or delete it: then all uploads and logins end')
        age = self._age(written)
        if age >= SETTLED_SECONDS:
            self._secret = secret
        elif age < PAUSE:
            time.sleep(PAUSE - age)  # instances that start at the same time have all written by then
            return self._find()
        return secret

    def _read(self) -> tuple[bytes, float]:
        """Return the secret and when it was written, in seconds since the epoch. Store one if there is none."""
        try:
            secret, stat = self._storage.get_object(layout.SECRET, newest=True)
        except exceptions.FileNotFoundError:
            secret, stat = self._make()
        return secret, stat.last_modified or 0

    def _make(self) -> tuple[bytes, Stat]:
        self._absence.confirm(layout.SECRET)  # otherwise a secret that no node finds at the moment would be replaced
        try:
            self._storage.put_new(layout.SECRET, os.urandom(SIZE))
        except errors.ReadOnly:
            raise _broken('is gone, and this registry is read-only. Restart it, or set REGISTRY_UPLOAD_SECRET')
        try:
            return self._storage.get_object(layout.SECRET, newest=True)  # it may be that of another instance
        except exceptions.FileNotFoundError:
            raise _broken('was written, and is not there')

    def _age(self, written: float) -> float:
        """Return the seconds for which the secret has been there. The clock of Swift may differ from this one."""
        self._first_seen = min(self._first_seen, time.monotonic())
        return max(time.time() - written, time.monotonic() - self._first_seen)


def is_stored(storage: Storage, absence: Absence) -> bool:
    """Return whether the container has a secret."""
    try:
        if not storage.exists(layout.SECRET, newest=True):
            absence.confirm(layout.SECRET)
            return False
    except errors.Unavailable:
        pass  # a listing shows it
    return True


def _broken(text: str) -> exceptions.BrokenError:
    text = f'the object {layout.SECRET} below storage_path (STORAGE_PATH) {text}'
    return exceptions.BrokenError(text, message=text)
