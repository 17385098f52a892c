"""The state of an upload, and its token in the URL."""

import base64
import random
from dataclasses import replace

import pytest

from docker_registry.v2.registry import errors, upload_state


def upload(**more):
    return replace(upload_state.Upload.begin('a/b', 'sha256', 1000), **more)


PARTS = tuple(upload_state.Part('%08x' % number, 60 + number, 5 * 2**30, '%032x' % number) for number in range(upload_state.MOST_PARTS))


@pytest.mark.parametrize(
    'state',
    [
        upload(),
        upload(algorithm='sha512', hex='a' * 128, offset=2**50),
        upload(hex=''),
        upload(pending=b'\0' * 8000, offset=8000),
        upload(listed=60, list_attempt='01234567', parts=PARTS, hex='b' * 64),
    ],
    ids=['new', 'sha512', 'unknown', 'pending', 'parts'],
)
def test_a_token_carries_the_whole_state(state):
    key = upload_state.StateTokens(lambda: b'key', 100)

    token = key.sign(state)

    assert key.read('a/b', token, 1100) == state
    assert len(token) <= upload_state.TOKEN_SIZE


def test_no_token_is_long():
    pending = random.Random(0).randbytes(1)
    while upload_state.fits(pending + b'x'):
        pending += random.Random(len(pending)).randbytes(1)

    assert len(upload_state.StateTokens(lambda: b'key', 1).sign(upload(pending=pending))) <= upload_state.TOKEN_SIZE


def test_a_token_tells_nothing():
    secret = b'PASSWORD=secret'

    token = upload_state.StateTokens(lambda: b'key', 1).sign(upload(pending=secret))

    assert secret not in base64.urlsafe_b64decode(token + '=' * (-len(token) % 4))


@pytest.mark.parametrize(
    'now, repository, spoil', [(1101, 'a/b', 0), (1000, 'a/c', 0), (1000, 'a/b', 1)], ids=['old', 'of another repository', 'altered']
)
def test_a_token_that_is_refused(now, repository, spoil):
    key = upload_state.StateTokens(lambda: b'key', 100)
    token = key.sign(upload())
    token = token[:-10] + ('A' if token[-10] != 'A' else 'B') * spoil + token[-10 + spoil :]

    with pytest.raises(errors.UploadUnknown):
        key.read(repository, token, now)
