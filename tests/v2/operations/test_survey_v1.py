"""A survey of a container that a v1 registry uses, too."""

import io
import json

import pytest

from docker_registry.core import driver
from docker_registry.v2.operations.survey import figures, report
from docker_registry.v2.operations.survey import survey as survey_module
from fake_swift import on, status
from v1_tree import Tree

MiB = 1024**2


@pytest.fixture
def tree(place):
    """A tree below `registry`, with two tags, a base that both have, and an image that no tag names."""
    storage = place.storage().at('registry')
    tree = Tree(storage)
    tree.image('base', bytes(3 * MiB))
    tree.image('app', b'app', ['base'])
    tree.image('old', b'old', ['base'], ancestry=False)
    tree.image('left', bytes(2 * MiB))
    tree.tag('library/app', 'latest', 'app')
    tree.tag('team/app', 'v1', 'old')
    return tree


@pytest.fixture
def survey(place, tmp_path):
    return lambda **more: survey_module.take(place.storage(swift_retries=1), str(tmp_path), **more)


def test_a_tree_below_another_root(tree, survey):
    found = survey(v1_path='/registry')

    assert set(found.db.execute('SELECT repository, tag, image FROM v1_tag')) == {
        ('library/app', 'latest', 'app'),
        ('team/app', 'v1', 'old'),
    }
    assert set(found.db.execute('SELECT image, ancestor FROM v1_ancestry')) == {
        ('app', 'app'),
        ('app', 'base'),
        ('old', 'old'),
        ('old', 'base'),
    }
    is_ceph = tree.storage.is_ceph()  # it lists large objects without their size
    assert set(found.db.execute("SELECT image, size FROM v1_file WHERE name = 'layer'")) == {
        ('base', None if is_ceph else 3 * MiB),
        ('app', 3),
        ('old', 3),
        ('left', None if is_ceph else 2 * MiB),
    }
    assert found.one('SELECT count(*) FROM v1_broken') == 0
    assert found.one('SELECT sum(size) FROM v1_segment JOIN composed USING (name)') == 5 * MiB
    assert found.one('SELECT count(*) FROM segment') == found.one('SELECT count(*) FROM other') == 0


def test_a_tree_is_not_looked_at_without_its_root(tree, survey):
    found = survey()

    assert found.one('SELECT count(*) FROM v1_file') == found.one('SELECT count(*) FROM v1_tag') == 0


def test_layers_at_our_root_own_their_segments(place, survey):
    Tree(place.storage()).image('base', bytes(3 * MiB))
    found = survey()

    assert found.one('SELECT count(*) FROM segment') == 3
    assert found.one('SELECT count(*) FROM segment WHERE name NOT IN (SELECT name FROM composed)') == 0


def test_a_tree_at_our_root(place, survey):
    tree = Tree(place.storage())
    tree.image('base', bytes(3 * MiB))
    tree.tag('library/base', 'latest', 'base')
    found = survey(v1_path='files')

    assert list(found.db.execute('SELECT image, ancestor FROM v1_ancestry')) == [('base', 'base')]
    assert found.one('SELECT count(*) FROM segment JOIN composed USING (name)') == 3


@pytest.mark.parametrize('ancestry', ['', '{}', '[]', '[1]', '["app"', '[' * 100000])
def test_an_ancestry_that_cannot_be_read_is_followed_image_by_image(tree, survey, ancestry):
    tree.storage.put_content('images/app/ancestry', ancestry)
    found = survey(v1_path='registry')

    assert {row[0] for row in found.db.execute("SELECT ancestor FROM v1_ancestry WHERE image = 'app'")} == {'app', 'base'}


def test_parents_in_a_circle(tree, survey):
    tree.image('app', b'app', ['base'], ancestry=False)
    tree.storage.put_content('images/base/json', json.dumps({'parent': 'app'}))
    tree.storage.remove('images/app/ancestry')
    found = survey(v1_path='registry')

    assert {row[0] for row in found.db.execute('SELECT image FROM v1_broken')} == {'app', 'old'}


def test_a_tag_that_names_nothing(tree, survey):
    tree.tag('library/app', 'strange', '../../x\0y')
    tree.tag('library/app', 'empty', '')
    found = survey(v1_path='registry')

    assert found.one("SELECT image FROM v1_tag WHERE tag = 'empty'") is None
    assert [row[0] for row in found.db.execute('SELECT image FROM v1_broken')] == ['../../x\0y']


def test_what_swift_does_not_tell_does_not_end_the_survey(fake, tmp_path):
    storage = driver.fetch('swift')(
        path='files',
        config=dict(
            swift_authurl=fake.auth_url,
            swift_auth_version=1,
            swift_user=fake.user,
            swift_password=fake.key,
            swift_container='c',
            swift_retries=0,
        ),
    )
    tree = Tree(storage.at('registry'))
    tree.image('app', b'app')
    tree.tag('a/b', 'v1', 'app')
    tree.tag('a/b', 'v2', 'app')
    fake.fault(on('GET', path_contains='tag_v2'), status(503), times=None)
    found = survey_module.take(storage, str(tmp_path), v1_path='registry')

    assert list(found.db.execute('SELECT tag, image FROM v1_tag ORDER BY tag')) == [('v1', 'app'), ('v2', None)]


def test_the_numbers_of_a_tree(tree, survey):
    tree.image('half', b'half')
    tree.storage.put_content('images/half/_inprogress', 'true')
    tree.tag('team/app', 'gone', 'missing')
    tree.storage.write_parts('never-ended', io.BytesIO(b'12345'))
    found = figures.figures(survey(v1_path='registry'))
    v1 = found['v1']

    assert (v1['root'], v1['tags'], v1['images']) == ('registry', 3, {'count': 5, 'bytes': 5 * MiB + 3 + 3 + 4})
    assert v1['repositories'] == [
        {'name': 'library/app', 'tags': 1, 'images': 2, 'bytes_alone': 3, 'bytes_shared': 3 * MiB},
        {'name': 'team/app', 'tags': 2, 'images': 2, 'bytes_alone': 3, 'bytes_shared': 3 * MiB},
    ]
    assert (v1['unreached']['count'], v1['unreached']['bytes']) == (2, 2 * MiB + 4)
    assert (v1['segments_without_owner']['count'], v1['segments_without_owner']['bytes']) == (1, 5)
    assert (v1['incomplete'], v1['missing'], v1['unread']) == (['half'], ['missing'], {'tags': [], 'images': ['missing']})
    assert found['garbage']['segments']['count'] == 0
    assert 'library/app' in report.text(found) and '5.0 MiB' in report.text(found)


def test_without_a_tree_there_are_no_numbers(tree, survey):
    assert figures.figures(survey())['v1'] is None


def test_the_segments_of_a_tree_at_our_root_are_no_garbage(place, survey):
    tree = Tree(place.storage())
    tree.image('base', bytes(3 * MiB))
    tree.storage.write_parts('never-ended', io.BytesIO(b'12345'))
    segments = figures.figures(survey())['garbage']['segments']

    assert (segments['count'], segments['bytes']) == (1, 5)
