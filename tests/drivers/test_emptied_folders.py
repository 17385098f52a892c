# -*- coding: utf-8 -*-
"""A folder that this driver object has just emptied can be removed once, although Swift has no folders.

The v1 registry needs this: it deletes a repository by deleting each tag, and then the repository's folder.
"""
import pytest

from docker_registry.core import exceptions
from docker_registry.drivers import swift as driver_module
from fake_swift import status


@pytest.fixture
def storage(fake_storage):
    return fake_storage()


def emptied(storage, *paths):
    for path in paths:
        storage.put_content(path, b'')
        storage.remove(path)


def can_remove(storage, path):
    try:
        storage.remove(path)
    except exceptions.FileNotFoundError:
        return False
    return True


def test_an_emptied_folder_can_be_removed_once(storage):
    emptied(storage, 'r/name/tag_a', 'r/name/tag_b')

    assert [can_remove(storage, 'r/name') for _ in range(2)] == [True, False]


def test_each_folder_above_an_object_is_one(storage):
    emptied(storage, 'r/ns/name/tag')

    assert [can_remove(storage, path) for path in ('r/ns/name', 'r/ns', 'r')] == [True, True, True]


def test_a_folder_in_a_removed_one_is_gone(storage):
    emptied(storage, 'r/name/tag')
    storage.remove('r')

    assert not can_remove(storage, 'r/name')


def test_a_folder_whose_objects_were_removed_at_once_is_gone(storage):
    emptied(storage, 'r/name/tag')
    storage.put_content('r/name/other', b'')
    storage.remove('r/name')

    assert not can_remove(storage, 'r/name')


def test_a_folder_that_was_recreated_is_removed_with_its_objects(storage):
    emptied(storage, 'r/name/tag')
    storage.put_content('r/name/tag', b'again')
    storage.remove('r/name')

    assert list(storage.walk()) == []
    assert not can_remove(storage, 'r/name')


def test_a_name_that_begins_the_same_is_another_folder(storage):
    emptied(storage, 'r/name/tag')

    assert [can_remove(storage, path) for path in ('r/nam', 'r/name2', 'r/name/tag')] == [False, False, False]
    assert can_remove(storage, 'r/name')


def test_an_object_with_the_name_of_an_emptied_folder_is_removed_once(storage):
    emptied(storage, 'name/tag', 'name')

    assert not can_remove(storage, 'name')


def test_it_is_no_folder_for_listings(storage):
    emptied(storage, 'r/name/tag')

    assert not storage.exists('r/name')
    with pytest.raises(exceptions.FileNotFoundError):
        list(storage.list_directory('r/name'))


def test_another_driver_object_does_not_know_it(storage, fake_storage):
    emptied(storage, 'r/name/tag')

    assert not can_remove(fake_storage(), 'r/name')


def test_a_remove_that_failed_empties_nothing(storage, fake_storage, fake):
    storage.put_content('r/name/tag', b'')
    fake.fault('DELETE', status(503), times=None)
    with pytest.raises(exceptions.ConnectionError):
        storage.remove('r/name/tag')
    fake.clear_faults()
    fake_storage().remove('r/name/tag')

    assert not can_remove(storage, 'r/name')


def test_an_error_is_no_success_for_an_emptied_folder(storage, fake):
    emptied(storage, 'r/name/tag')
    fake.fault('GET', status(503), times=None)
    with pytest.raises(exceptions.ConnectionError):
        storage.remove('r/name')
    fake.clear_faults()

    assert can_remove(storage, 'r/name')


def test_it_is_forgotten_after_a_minute(storage, monkeypatch):
    emptied(storage, 'r/name/tag')
    now = driver_module.time.time()
    monkeypatch.setattr(driver_module.time, 'time', lambda: now + 61)

    assert not can_remove(storage, 'r/name')


def test_the_oldest_are_forgotten_first(storage, monkeypatch):
    monkeypatch.setattr(driver_module._Emptied, 'MOST', 3)
    emptied(storage, 'a/x', 'b/x', 'c/x', 'a/y', 'd/x')

    assert [can_remove(storage, path) for path in 'bacd'] == [False, True, True, True]
