"""Compares what is in the container after the last collection with what the ledger says is needed, without the collector's code."""

import re

from contents import Manifest
from garbage import listing, log_in, segments_of
from ledger import MANIFEST, TAG

HEX = '([0-9a-f]{64})'
REPOSITORY = r'docker/registry/v2/repositories/(.+)/'
#: Names below our root, as (what, pattern). The groups are what `needed` gets.
NAMES = (
    ('blob', rf'docker/registry/v2/blobs/sha256/../{HEX}/data'),
    ('link of a blob', rf'{REPOSITORY}_layers/sha256/{HEX}/link'),
    ('revision', rf'{REPOSITORY}_manifests/revisions/sha256/{HEX}/(?:link|mediatype)'),
    ('tag', rf'{REPOSITORY}_manifests/tags/([^/]+)/current/link'),
    ('entry of a tag', rf'{REPOSITORY}_manifests/tags/([^/]+)/index/sha256/{HEX}/link'),
    ('referrer', rf'{REPOSITORY}_referrers/sha256/[0-9a-f]{{64}}/sha256/{HEX}'),
    ('note of a deletion', rf'{REPOSITORY}_deleted/sha256/{HEX}'),
    ('segment', r'(_segments/.*)'),
    ('memory of collections', r'(_gc/(?:memory|last/[a-z]+|sizes/.+))'),
    ('secret', r'(_registry/secret)'),
)


class Needed:
    """What must be in the container, and may be: everything of manifests and tags that are there for certain, by the ledger."""

    def __init__(self, ledger, contents, moment):
        there = [key for key in ledger.keys(MANIFEST) if None not in ledger.possible(key, moment, moment)]
        self.revisions = {(key.repository, hexadecimal(key.name)) for key in there}
        self.tags = {(key.repository, key.name) for key in ledger.keys(TAG) if None not in ledger.pullable(key, moment, moment)}
        self.links = {(key.repository, hexadecimal(blob)) for key in there for blob in manifest(contents, key).blobs}
        self.blobs = {digest for _, digest in self.links | self.revisions}
        # A collection keeps all that a manifest names: what it refers to may have been deleted, and its bytes stay.
        named = [digest for key in there for digest in (manifest(contents, key).subject, *manifest(contents, key).manifests) if digest]
        self.named = {hexadecimal(digest) for digest in named}
        self.segments = set()

    def has(self, what, groups):
        if what == 'entry of a tag':
            repository, tag, digest = groups
            return (repository, tag) in self.tags and (repository, digest) in self.revisions
        if what in ('memory of collections', 'secret', 'note of a deletion'):
            return True
        if what == 'blob':
            return groups[0] in self.blobs | self.named
        if what == 'segment':
            return groups[0] in self.segments
        return groups in {'link of a blob': self.links, 'tag': self.tags}.get(what, self.revisions)

    def all(self):
        """Yield (what, groups) of all that must be there."""
        yield from (('link of a blob', link) for link in self.links)
        yield from (('revision', revision) for revision in self.revisions)
        yield from (('tag', tag) for tag in self.tags)
        yield from (('blob', (digest,)) for digest in self.blobs)
        yield from (('segment', (name,)) for name in self.segments)


def hexadecimal(digest):
    return digest.partition(':')[2]


def manifest(contents, key) -> Manifest:
    return contents[key.name]


def find(swift, container, ledger, contents, moment):
    """Return lines: names that nothing needs, and needed ones that are not there."""
    needed = Needed(ledger, contents, moment)
    with log_in(swift) as (session, account):
        rows = list(listing(session, f'{account}/{container}'))
        large = [row['name'] for row in rows if 'slo_etag' in row]
        needed.segments = {below_root(name) for blob in large for name in segments_of(session, f'{account}/{container}', blob)}
    return compare(needed, [below_root(row['name']) for row in rows])


def below_root(name):
    return name.partition('/')[2]


def compare(needed, names):
    """`find`, for names below the root."""
    there = {parsed(name): name for name in names}
    lines = [f'nothing needs {name}' for (what, groups), name in there.items() if not needed.has(what, groups)]
    return lines + [f'needed, but not listed: {what} {" ".join(groups)}' for what, groups in needed.all() if (what, groups) not in there]


def parsed(name):
    for what, pattern in NAMES:
        match = re.fullmatch(pattern, name)
        if match:
            return what, match.groups()
    return 'other', (name,)
