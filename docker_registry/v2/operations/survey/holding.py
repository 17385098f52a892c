"""Works out of a survey who holds what: which repositories have a blob, how many bytes it has in Swift, and whose the segments are.

It makes tables beside those of the survey, for one report:

    weight (digest, bytes)                  what the data of a blob have in Swift, with their segments
    mention (repository, digest)            the digests that names of a repository link
    holder (digest, repositories)           in how many repositories; names that nobody understands count as one more
    owned (name, owner, kind)               segments with the object that names them: a blob, an upload, the trash, v1, aside, or other
    unneeded (repository, digest, modified) links of layers that no manifest of their repository names
    freed (digest)                          the digests that have no other links than these
"""

import json
from collections.abc import Callable, Iterator

from docker_registry.core import exceptions
from docker_registry.v2.operations.survey.survey import Survey
from docker_registry.v2.registry import layout, names

TABLES = """
CREATE TEMP TABLE weight (digest TEXT PRIMARY KEY, bytes INTEGER) WITHOUT ROWID;
CREATE TEMP TABLE mention (repository INTEGER, digest TEXT, PRIMARY KEY (repository, digest)) WITHOUT ROWID;
CREATE TEMP TABLE holder (digest TEXT PRIMARY KEY, repositories INTEGER) WITHOUT ROWID;
CREATE TEMP TABLE owned (name TEXT PRIMARY KEY, owner TEXT, kind TEXT) WITHOUT ROWID;
CREATE TEMP TABLE needed (repository INTEGER, digest TEXT, PRIMARY KEY (repository, digest)) WITHOUT ROWID;
CREATE TEMP TABLE unneeded (repository INTEGER, digest TEXT, modified REAL, PRIMARY KEY (repository, digest)) WITHOUT ROWID;
CREATE TEMP TABLE freed (digest TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP VIEW any_segment AS
    SELECT name, size, modified FROM segment
    UNION ALL SELECT name, size, modified FROM foreign_segment
    UNION ALL SELECT name, size, modified FROM v1_segment;
"""

MENTIONS = """
INSERT OR IGNORE INTO mention SELECT repository, digest FROM layer;
INSERT OR IGNORE INTO mention SELECT repository, digest FROM revision;
INSERT OR IGNORE INTO mention SELECT repository, digest FROM tag_index;
INSERT INTO holder SELECT digest, count(*) FROM mention GROUP BY digest;
INSERT INTO holder SELECT DISTINCT digest, 1 FROM other WHERE digest IS NOT NULL
    ON CONFLICT (digest) DO UPDATE SET repositories = repositories + 1;
"""

#: Nobody knows what a repository needs of which a manifest could not be read.
UNNEEDED = """
INSERT OR IGNORE INTO needed
    SELECT revision.repository, reference.digest FROM revision JOIN reference ON reference.manifest = revision.digest;
INSERT INTO unneeded
    SELECT repository, digest, modified FROM layer
    WHERE NOT EXISTS (SELECT 1 FROM needed WHERE needed.repository = layer.repository AND needed.digest = layer.digest)
    AND repository NOT IN (SELECT repository FROM revision JOIN manifest USING (digest) WHERE state != 'read');
INSERT INTO freed
    SELECT digest FROM unneeded GROUP BY digest
    HAVING count(*) = (SELECT repositories FROM holder WHERE holder.digest = unneeded.digest)
    AND NOT EXISTS (SELECT 1 FROM revision WHERE revision.digest = unneeded.digest)
    AND NOT EXISTS (SELECT 1 FROM tag_index WHERE tag_index.digest = unneeded.digest);
"""

#: The owners of segments, the most important one first: a segment of a blob is not one that an upload holds.
OWNERS = {'blob': 'digest', 'other': 'path', 'v1_file': 'path', 'foreign_upload': 'path'}

WEIGHTS = """
INSERT INTO weight SELECT digest, coalesce(size, 0) FROM blob;
UPDATE weight SET bytes = coalesce((SELECT sum(size) FROM composed JOIN any_segment USING (name) WHERE owner = digest), 0)
    WHERE digest IN (SELECT owner FROM composition WHERE kind = 'static') AND digest IN (SELECT digest FROM blob WHERE size IS NULL);
"""


def work_out(survey: Survey) -> None:
    """Make the tables."""
    survey.db.executescript(TABLES + MENTIONS + UNNEEDED + WEIGHTS)
    for kind, column in OWNERS.items():
        survey.db.execute(
            f'INSERT OR IGNORE INTO owned SELECT name, owner, ? FROM composed WHERE owner IN (SELECT {column} FROM {kind})', (kind,)
        )
        _add_dynamic(survey, kind, column)
    for kind, table, record in (('trash', 'trash_record', layout.trashed_blob), ('aside', 'lost_record', layout.lost_record)):
        survey.db.executemany(f"INSERT OR IGNORE INTO owned VALUES (?, ?, '{kind}')", _recorded(survey, table, record))


def _add_dynamic(survey: Survey, kind: str, column: str) -> None:
    """Add the segments of dynamic large objects: all those whose names begin with their prefix."""
    container = survey.storage.settings.container + '/'
    owners = survey.db.execute(
        f"SELECT owner, prefix FROM composition WHERE kind = 'dynamic' AND owner IN (SELECT {column} FROM {kind})"
    ).fetchall()
    for owner, prefix in owners:
        if not prefix.startswith(container):
            continue  # in another container, which is not surveyed
        begin, size = prefix.removeprefix(container), 0
        for table in ('segment', 'foreign_segment', 'v1_segment'):
            below = f'FROM {table} WHERE name >= ? AND name < ?'
            size += survey.one(f'SELECT coalesce(sum(size), 0) {below}', begin, begin + '\U0010ffff')
            survey.db.execute(f'INSERT OR IGNORE INTO owned SELECT name, ?, ? {below}', (owner, kind, begin, begin + '\U0010ffff'))
        if kind == 'blob':
            survey.db.execute('UPDATE weight SET bytes = ? WHERE digest = ?', (size, owner))


def _recorded(survey: Survey, table: str, path_of: Callable[[names.Digest], str]) -> Iterator[tuple[str, str]]:
    """Yield (segment, digest) of what records of deleted blobs name. There are as many as a collection deletes in a week or two."""
    for (digest,) in survey.db.execute(f'SELECT digest FROM {table}').fetchall():
        try:
            record = json.loads(survey.storage.get_content(path_of(names.digest(digest)), newest=True))
            parts = [part[0] for part in record['parts'] if isinstance(part[0], str)]
        except (exceptions.FileNotFoundError, ValueError, TypeError, LookupError, RecursionError):
            continue  # no record, or one that somebody else has written
        # The segments of a dynamic large object are named from the container's root, and no name is both.
        yield from ((name, digest) for path in parts for name in (path, survey.root + path))
