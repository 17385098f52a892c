"""Targets: the tokens that the registry signs, and that clients send back as they are, changed, or cut."""

import functools
import hashlib
import os
import tempfile
import uuid

from docker_registry.v2.access import htpasswd, tokens
from docker_registry.v2.access.scopes import Scopes
from docker_registry.v2.registry import errors, upload_state
from docker_registry.v2.registry.upload_state import StateTokens, Upload
from target import target

NOW = 1_800_000_000.0
STATES = StateTokens(lambda: b'key', 3600)
LETTERS = b'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.+/ \0%'
PASSWORD_HASH = b'$2y$04$......................I6EGRpm3ucHiJHexzCzfMt9rYuyESbG'


def changed(token: bytes, edits: bytes) -> bytes:
    """Return a token with changes, each from three bytes: the kind, the place, and the character."""
    for number in range(0, len(edits) - 2, 3):
        kind, place, letter = edits[number : number + 3]
        at = place * (len(token) + 1) // 256
        piece = LETTERS[letter % len(LETTERS) :][:1]
        token = (
            token[:at] + piece + token[at + 1 :],
            token[:at] + piece + token[at:],
            token[:at] + token[at + 1 :],
            token[:at],
            token[at:],
            token[:at] + token[: letter + 1] + token[at:],
            token[:-1] + piece,
        )[kind % 7]
    return token


def upload_from(data: bytes) -> Upload:
    """Return an upload that some bytes describe."""
    kind, count, offset = data[0] if data else 0, data[1] % 4 if len(data) > 1 else 0, int.from_bytes(data[2:9], 'big')
    algorithm = ('sha256', 'sha512')[kind % 2]
    parts = tuple(
        upload_state.Part(data[9:13].ljust(4, b'\0').hex(), number, offset, hashlib.md5(data).hexdigest()) for number in range(count)
    )
    pending = data[13:]
    while not upload_state.fits(pending):
        pending = pending[: len(pending) // 2]
    digits = hashlib.new(algorithm, data).hexdigest() if kind % 3 else ''
    return Upload(str(uuid.UUID(int=offset)), 'team/app', int(NOW), algorithm, digits, offset, 0, '', parts, pending)


@target(b'', b'\x01\x03\0\0\0\0\0\0\x09abcdconfig', b'\x02' + bytes(range(200)))
def upload_state_in_a_token(data):
    """What is written into a token is what is read from it, and only by its own repository."""
    upload = upload_from(data)
    token = STATES.sign(upload)
    assert len(token) <= upload_state.TOKEN_SIZE
    assert STATES.read('team/app', token, NOW) == upload
    for repository, now in (('team/app2', NOW), ('team/app', NOW + 3601)):
        try:
            STATES.read(repository, token, now)
        except errors.UploadUnknown:
            continue
        raise AssertionError('a token of another repository, or an old one, was accepted')


@functools.cache
def upload_token():
    upload = upload_from(b'\x01\x02\0\0\0\0\0\0\x09abcdconfig')
    return upload, STATES.sign(upload).encode()


@target(b'', b'\0\x10a', b'\x06\xff\x05', b'\x03\x80\0', b'\x05\0\xff', b'\x02\x00\x00\x01\x00A')
def changed_upload_token(data):
    """A changed token is refused, or says what it said before: base64 has several texts for the same bytes."""
    upload, token = upload_token()
    try:
        assert STATES.read('team/app', changed(token, data).decode('latin-1'), NOW) == upload
    except errors.UploadUnknown:
        pass


@target(b'AAAA', b'A' * 3000, 'ä=='.encode(), b'=' * 100)
def invented_upload_token(data):
    try:
        STATES.read('team/app', data.decode(errors='replace'), NOW)
    except errors.UploadUnknown:
        return
    raise AssertionError('the token was accepted')


@functools.cache
def logins():
    """Return (tokens, an access token, a refresh token) of a registry with a user."""
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, 'htpasswd')
    with open(path, 'wb') as file:
        file.write(b'alice:' + PASSWORD_HASH + b'\n')
    users = htpasswd.Users(path)
    os.unlink(path)
    os.rmdir(folder)
    users.hash_of = {b'alice': PASSWORD_HASH}.get  # type: ignore[method-assign] # asks the file system each time
    made = tokens.Tokens(lambda: b'key', 300, users)
    alice = users.identity(b'alice')
    assert alice
    access = made.make(alice, Scopes.parse('repository:team/app:pull'))['token']
    return made, str(access).encode(), str(made.make_refresh(alice)).encode()


@target(b'', b'\0\x10a', b'\x06\xff\x05', b'\x03\x80\0', b'\x04\x80\0', b'\x05\0\xff', b'\x00\x00z\x01\x00A')
def changed_login_token(data):
    """A changed token is refused, or says what it said before. None is good for the other purpose."""
    made, access, refresh = logins()

    def read_access(token):
        identity, scopes = made.read(token)
        assert str(scopes) == 'repository:team/app:pull'
        return identity

    for read, token, other in ((read_access, access, refresh), (made.read_refresh, refresh, access)):
        try:
            identity = read(changed(token, data))
        except tokens.Invalid:
            pass
        else:
            assert (identity.name, identity.stored) == ('alice', PASSWORD_HASH)
        try:
            read(changed(other, data))
        except tokens.Invalid:
            continue
        raise AssertionError('a token was accepted for another purpose')


@target(b'eyJ1c2VyIjoiYWxpY2UifQ.AAAA', b'.', b'.a.b', b'.eJw.' + b'A' * 43, b'a' * 8000, words=(b'eyJ1c2VyIjoi', b'.eJ'))
def invented_login_token(data):
    made, _, _ = logins()
    for read in (made.read, made.read_refresh):
        try:
            read(data)
        except tokens.Invalid:
            continue
        raise AssertionError('the token was accepted')
