"""Fixtures for the tests of `registry-swift fsck`: a check of the container of one test, and damages to make in it."""

import io

import pytest

from docker_registry.v2.operations.fsck import findings as findings_module
from docker_registry.v2.operations.fsck import run
from docker_registry.v2.operations.survey import survey
from docker_registry.v2.registry import names
from docker_registry.v2.registry.concurrency import Together

ROOT = 'docker/registry/v2'


class Checked:
    """What a check has found."""

    def __init__(self, findings):
        self.findings = findings
        self.status = findings_module.status(findings)
        self.unpullable = findings_module.unpullable(findings)

    @property
    def damages(self):
        return sorted((finding.damage, finding.repaired) for finding in self.findings if finding.damage not in findings_module.NOTES)

    def only(self):
        (finding,) = [finding for finding in self.findings if finding.damage not in findings_module.NOTES]
        return finding


@pytest.fixture
def fsck(place, tmp_path):
    """A function that runs a check with some options."""

    def fsck(origin=None, before=lambda storage: None, **options):
        options.setdefault('replication_cycle', 0)
        storage = place.storage()
        surveyed = survey.take(storage, str(tmp_path))
        before(storage)
        check = run.Check(storage, surveyed.db, run.Options(**options), Together(4), origin)
        try:
            return Checked(check.run())
        finally:
            surveyed.db.close()

    return fsck


class Container:
    """The objects of the registry, to damage them."""

    def __init__(self, storage):
        self.storage = storage
        self.root = storage.at('')

    def data(self, digest):
        digest = names.digest(digest)
        return f'{ROOT}/blobs/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}/data'

    def layer(self, repository, digest):
        return f'{ROOT}/repositories/{repository}/_layers/{digest.replace(":", "/")}/link'

    def revision(self, repository, digest):
        return f'{ROOT}/repositories/{repository}/_manifests/revisions/{digest.replace(":", "/")}/link'

    def pointer(self, repository, tag):
        return f'{ROOT}/repositories/{repository}/_manifests/tags/{tag}/current/link'

    def index(self, repository, tag, digest):
        return f'{ROOT}/repositories/{repository}/_manifests/tags/{tag}/index/{digest.replace(":", "/")}/link'

    def referrer(self, repository, subject, digest):
        return f'{ROOT}/repositories/{repository}/_referrers/{subject.replace(":", "/")}/{digest.replace(":", "/")}'

    def lose(self, path):
        assert self.storage.discard(path)

    def has(self, path):
        return self.storage.exists(path, newest=True)

    def segments_of(self, digest):
        return self.storage.large_object(self.data(digest)).names

    def make_dynamic(self, digest, content, count=3, folder='segments/abc/def', swift=None):
        """Store a blob as CNCF distribution does: a dynamic large object of some segments. Return their names."""
        size = -(-len(content) // count)
        paths = [f'{folder}/{number:016d}' for number in range(1, count + 1)]
        for number, path in enumerate(paths):
            self.root.put_stream(path, io.BytesIO(content[number * size : (number + 1) * size]), 'unused')
        self.storage.discard(self.data(digest))
        connection, container = swift
        connection.put_object(container, 'files/' + self.data(digest), b'', headers={'X-Object-Manifest': f'{container}/{folder}/'})
        return paths


@pytest.fixture
def container(place):
    return Container(place.storage())


@pytest.fixture
def swift(place):
    """(a client of Swift, the container)."""
    from swiftclient.client import Connection

    connection = Connection(place.server.auth_url, place.server.user, place.server.key)
    yield connection, place.container
    connection.close()
