"""The Swift of several nodes is whole again after each test."""

import pytest

from cluster_client import Client, make_whole


@pytest.fixture(autouse=True)
def whole_afterwards(cluster):
    yield
    make_whole(cluster)


@pytest.fixture
def client(cluster):
    return Client(cluster)


@pytest.fixture(params=['cluster'])
def swift_config(swift_config):
    """Configuration of a driver for the Swift of several nodes."""
    return swift_config
