"""A collection in a container that a v1 registry uses, too."""

import pytest

from docker_registry.core.exceptions import ConfigError
from docker_registry.v2 import cli
from docker_registry.v2.cli import collecting
from docker_registry.v2.operations.collection import lock, run
from docker_registry.v2.operations.collection.bounds import Bounds
from docker_registry.v2.operations.collection.problems import Stopped
from docker_registry.v2.operations.progress import Progress
from v1_tree import Tree

MiB = 1024**2


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    monkeypatch.setattr(lock, 'SETTLED', 0)


@pytest.fixture
def tree(place):
    """A tree below `registry`: an image with a base that a tag names, an image that no tag names, and segments that nothing names."""
    tree = Tree(place.storage().at('registry'))
    tree.image('base', bytes(3 * MiB))
    tree.image('app', b'app', ['base'])
    tree.image('left', bytes(2 * MiB))
    tree.tag('library/app', 'latest', 'app')
    tree.storage.replace('_segments/0123/00000000', b'of an upload that never ended')
    return tree


def collect(place, bounds=None, **options):
    how = run.Options(bounds or Bounds.quiet(), v1_path='/registry', **options)
    return run.collect(place.storage(), how, None, Progress(None))


def names(place):
    return {stat.path for stat in place.storage().at('').walk() if stat.path.startswith('registry/')}


def test_segments_that_no_object_names_go(place, tree):
    before = names(place)

    report = collect(place)

    assert before - names(place) == {'registry/_segments/0123/00000000'}
    assert report.counts['v1_segments'] == 1
    assert tree.storage.get_content('images/base/layer') == bytes(3 * MiB)


def test_they_stay_while_an_upload_may_be_under_way(place, tree):
    before = names(place)

    collect(place, Bounds())

    assert names(place) == before


def test_images_that_no_tag_reaches_go_with_their_segments(place, tree):
    report = collect(place, v1_images=True)

    assert {name.split('/')[2] for name in names(place) if '/images/' in name} == {'base', 'app'}
    assert len([name for name in names(place) if '/_segments/' in name]) == 3
    assert report.counts['v1_images'] == 1
    assert tree.storage.get_content('images/base/layer') == bytes(3 * MiB)


def test_images_of_a_second_v1_registry_stay(place, tree):
    other = Tree(place.storage())
    other.image('theirs', bytes(2 * MiB))
    other.tag('library/theirs', 'latest', 'theirs')

    report = collect(place, v1_images=True)

    assert other.storage.get_content('images/theirs/layer') == bytes(2 * MiB)
    assert report.counts['v1_images'] == 1


def test_nothing_goes_if_a_tag_cannot_be_followed(place, tree):
    tree.tag('library/app', 'broken', 'nowhere')
    before = names(place)

    with pytest.raises(Stopped, match='the ancestry of nowhere'):
        collect(place, v1_images=True)

    assert names(place) == before


@pytest.mark.parametrize('words', [['--v1-images'], ['--v1-images', '--v1-path', '/registry'], ['--v1-images', '--quiet-registry']])
def test_images_go_only_from_a_quiet_registry(words):
    with pytest.raises(ConfigError, match='--quiet-registry'):
        collecting.run(cli.parser().parse_args(['gc', *words]), {})
