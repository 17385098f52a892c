"""`registry-swift fsck --repair` on a Swift of several nodes, of which some are down or behind: it condemns and changes nothing.

Python 3 only, as the registry.
"""

import os
import sys

import pytest

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'v2'))

from docker_registry.v2.operations.fsck import findings, run
from docker_registry.v2.operations.survey import survey
from docker_registry.v2.registry.concurrency import Together
from registry_client import Place, digest_of

LARGE = os.urandom(3 * 1024**2)


@pytest.fixture
def place(cluster):
    return Place(cluster, swift_retries=1, swift_read_timeout=5)


@pytest.fixture
def fsck(place, tmp_path):
    def fsck(**options):
        storage = place.storage()
        surveyed = survey.take(storage, str(tmp_path))
        found = run.Check(storage, surveyed.db, run.Options(sizes=True, deep=True, read_again=0, **options), Together(4)).run()
        surveyed.db.close()
        return found

    return fsck


@pytest.mark.parametrize(
    'down', [[('object', 1)], [('object', 1), ('object', 2)], [('container', 1)], [('object', 3), ('container', 2)]], ids=str
)
def test_nodes_that_are_down_are_no_damage(cluster, place, fsck, down):
    registry = place.registry()
    registry.push_image('a', 'v1', LARGE, b'small')
    registry.push_image('team/app', 'v2', b'small')
    for kind, node in down:
        cluster.stop(kind, node)

    found = fsck(repair=True)

    assert {finding.damage for finding in found} <= {findings.UNKNOWN}
    cluster.heal()
    cluster.restart('proxy')
    assert findings.status(fsck()) == 0
    assert registry('GET', '/v2/a/blobs/' + digest_of(LARGE)).data == LARGE


def test_a_container_server_that_is_behind_is_no_damage(cluster, place, fsck):
    """A third of the listings lack what was written while it was down."""
    registry = place.registry()
    registry.push_image('a', 'v1', b'old')
    cluster.kill('container', 1)
    registry.push_image('a', 'v1', LARGE, b'small')
    registry.push_image('a', 'v2', b'small')
    cluster.start('container', 1)

    for _ in range(3):
        assert {finding.damage for finding in fsck(repair=True)} <= {findings.UNKNOWN, findings.GARBAGE}
    assert registry('GET', '/v2/a/blobs/' + digest_of(LARGE)).data == LARGE
