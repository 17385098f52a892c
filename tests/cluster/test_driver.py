"""The driver on several nodes, whole and with one of them down: two replicas of everything are left then."""

import io
import os

import pytest

from docker_registry.core import exceptions

MIB = 2**20


@pytest.fixture(params=[None, 1, 2, 3, 4], ids=lambda node: f'without node {node}' if node else 'whole')
def some_nodes(request, cluster, storage):
    storage.connect()
    if request.param:
        cluster.kill_node(request.param)


def test_an_object_comes_back(some_nodes, storage):
    storage.put_content('a/b', b'content')

    assert storage.get_content('a/b') == b'content'
    assert storage.get_size('a/b') == 7


def test_a_large_object_comes_back(some_nodes, storage):
    content = os.urandom(2 * MIB + 1)
    storage.stream_write('large', io.BytesIO(content))

    assert b''.join(storage.stream_read('large')) == content


def test_a_folder_is_listed_and_removed(some_nodes, storage):
    names = ['folder/%02d' % number for number in range(30)]  # more than a page
    for name in names:
        storage.put_content(name, b'')

    assert sorted(storage.list_directory('folder')) == names

    storage.remove('folder')

    assert not any(storage.exists(name) for name in names)
    with pytest.raises(exceptions.FileNotFoundError):
        list(storage.list_directory('folder'))
