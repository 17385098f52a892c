# -*- coding: utf-8 -*-
"""The search index. If its database is gone, the registry rebuilds it from the storage's listings."""
import os

import pytest

from v1_client import V1Client


@pytest.fixture
def database(tmpdir):
    return str(tmpdir / 'search.db')


@pytest.fixture
def searching(deployment, database):
    """A function that starts a registry with a search index. It has one worker, which alone writes the database."""
    return lambda: deployment.start(
        SEARCH_BACKEND='sqlalchemy', SQLALCHEMY_INDEX_DATABASE='sqlite:///' + database, GUNICORN_WORKERS='1')


def test_the_index_is_rebuilt_after_its_database_is_thrown_away(searching, database, small_image, name):
    names = [name + '-one', name + '-two']
    registry = searching()
    client = V1Client(registry.address)
    for repository in names + [name + '-deleted']:
        client.push(repository, small_image(), 'latest', '1.0')
    client.delete_repository(name + '-deleted')
    assert sorted(client.search(name)) == names
    registry.stop()
    os.remove(database)
    assert sorted(V1Client(searching().address).search(name)) == names
