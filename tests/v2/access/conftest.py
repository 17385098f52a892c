"""Fixtures for tests of who may do what: a file of users, and registries with it."""

import pytest

from access_client import LAYER
from docker_registry.v2.access import htpasswd
from docker_registry.v2.settings.config import Access


@pytest.fixture
def users(tmp_path):
    (tmp_path / 'htpasswd').write_bytes(b'alice:%b\nbob:%b\n' % (htpasswd.make(b'correct horse', 4), htpasswd.make(b'battery', 5)))
    return str(tmp_path / 'htpasswd')


@pytest.fixture
def closed(fake_place, users):
    """A registry that only users may use."""
    return fake_place.registry(Access(htpasswd=users))


@pytest.fixture
def bearing(fake_place, users):
    """A registry that only users may use, with tokens."""
    fake_place.registry().push_image('team/app', 'v1', LAYER)
    return fake_place.registry(Access(htpasswd=users, bearer_tokens=True))


@pytest.fixture
def public(fake_place, users):
    """A registry from which everybody may pull."""
    fake_place.registry().push_image('team/app', 'v1', LAYER)
    return fake_place.registry(Access(htpasswd=users, anonymous_pull=True))
