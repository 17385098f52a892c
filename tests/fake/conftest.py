# -*- coding: utf-8 -*-
"""A fake Swift with a container, and a client that talks to it."""

import pytest

from fake_swift import FakeSwift

from .http_client import Client


@pytest.fixture
def make():
    """Start a fake that has a container `c`, and a client that talks to it. All of them end with the test."""
    started = []

    def start(**options):
        swift = FakeSwift(**options)
        swift.create_container('c')
        client = Client(swift)
        started.append((swift, client))
        return swift, client
    yield start
    for swift, client in started:
        client.close()
        swift.stop()
        assert not swift.crashes


@pytest.fixture
def pair(make):
    return make()


@pytest.fixture
def swift(pair):
    return pair[0]


@pytest.fixture
def client(pair):
    return pair[1]
