"""The numbers of a survey, for people and programs: what repositories hold, what is garbage, and what could not be read."""

from typing import Any

from docker_registry.v2.operations.survey import holding, v1_figures
from docker_registry.v2.operations.survey.ages import ages
from docker_registry.v2.operations.survey.survey import Survey

#: What is garbage now. Each query gives a time and bytes for each piece.
GARBAGE = {
    # The bytes are those of blobs that have no other links, with the youngest of them.
    'layer_links': """
        SELECT modified, CASE WHEN row_number() OVER (PARTITION BY digest ORDER BY modified DESC) = 1
            THEN (SELECT bytes FROM weight WHERE weight.digest = unneeded.digest AND weight.digest IN (SELECT digest FROM freed)) END
        FROM unneeded
    """,
    'blobs': 'SELECT modified, bytes FROM blob JOIN weight USING (digest) WHERE digest NOT IN (SELECT digest FROM holder)',
    'segments': """
        SELECT modified, size FROM (SELECT name, size, modified FROM segment UNION ALL SELECT name, size, modified FROM foreign_segment)
        WHERE name NOT IN (SELECT name FROM owned)
    """,
    'uploads': """
        SELECT max(modified), sum(size) FROM (
            SELECT repository, upload, modified,
                CASE WHEN path IN (SELECT owner FROM composition WHERE kind != 'plain') THEN 0 ELSE size END AS size
                FROM foreign_upload
            UNION ALL SELECT repository, upload, any_segment.modified, any_segment.size
                FROM foreign_upload JOIN owned ON owner = path AND kind = 'foreign_upload' JOIN any_segment USING (name)
        ) GROUP BY repository, upload
    """,
}


def figures(survey: Survey) -> dict[str, Any]:
    """Return the numbers as a document for JSON. Sizes are in bytes, and ages in seconds at the beginning of the survey."""
    holding.work_out(survey)
    return {
        'started': survey.started,
        'container': _container(survey),
        'garbage': {kind: ages(survey, query) for kind, query in GARBAGE.items()},
        'trash': _deleted(survey, 'trash') | {'names': survey.one('SELECT count(*) FROM trash_names')},
        'aside': _deleted(survey, 'aside'),
        'unread': _unread(survey),
        'repositories': _repositories(survey),
        'v1': v1_figures.figures(survey),
    }


def sizes(found: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Return (repository, bytes, tags) of each repository in `figures`, for the page."""
    return [(row['name'], row['bytes_alone'] + row['bytes_shared'], row['tags']) for row in found['repositories']]


def _counted(survey: Survey, query: str) -> dict[str, int]:
    count, size = survey.db.execute(query).fetchone()
    return {'count': count, 'bytes': size or 0}


def _container(survey: Survey) -> dict[str, Any]:
    plain = "NOT EXISTS (SELECT 1 FROM composition WHERE owner = {} AND kind IN ('static', 'dynamic'))"
    stored = {
        'blobs': _counted(survey, f'SELECT count(*), sum(size) FROM blob WHERE {plain.format("digest")}'),
        'segments': _counted(survey, 'SELECT count(*), sum(size) FROM segment'),
        'foreign_segments': _counted(survey, 'SELECT count(*), sum(size) FROM foreign_segment'),
        'uploads': _counted(survey, f'SELECT count(*), sum(size) FROM foreign_upload WHERE {plain.format("path")}'),
        'trash_copies': _counted(survey, 'SELECT count(*), sum(size) FROM trash_copy'),
        'aside_copies': _counted(survey, 'SELECT count(*), sum(size) FROM lost_copy'),
        'other': _counted(survey, f'SELECT count(*), sum(size) FROM other WHERE {plain.format("path")}'),
    }
    return {
        'names': survey.one("SELECT value FROM fact WHERE name = 'names'") or 0,
        'repositories': survey.one('SELECT count(*) FROM repository'),
        'tags': survey.one('SELECT count(*) FROM tag'),
        'manifests': survey.one('SELECT count(DISTINCT digest) FROM revision'),
        'blobs': _counted(survey, 'SELECT count(*), sum(bytes) FROM weight'),
        'stored': dict(stored, bytes=sum(part['bytes'] for part in stored.values())),
    }


def _deleted(survey: Survey, kind: str) -> dict[str, int]:
    """Return how many blobs the trash has, or have been put aside, and the bytes that they have kept."""
    table = {'trash': 'trash', 'aside': 'lost'}[kind]
    segments = survey.one('SELECT coalesce(sum(size), 0) FROM owned JOIN any_segment USING (name) WHERE kind = ?', kind)
    return {
        'blobs': survey.one(f'SELECT count(*) FROM {table}_record'),
        'bytes': segments + survey.one(f'SELECT coalesce(sum(size), 0) FROM {table}_copy'),
    }


def _unread(survey: Survey) -> dict[str, list[dict[str, Any]]]:
    manifests: dict[str, dict[str, Any]] = {}
    for digest, state, repository in survey.db.execute(
        'SELECT digest, state, name FROM manifest JOIN revision USING (digest) JOIN repository ON id = repository '
        "WHERE state != 'read' ORDER BY digest, name"
    ):
        manifests.setdefault(digest, {'digest': digest, 'state': state, 'repositories': []})['repositories'].append(repository)
    objects = survey.db.execute("SELECT owner, kind FROM composition WHERE kind IN ('missing', 'unreadable') ORDER BY owner")
    return {'manifests': list(manifests.values()), 'objects': [{'object': owner, 'state': kind} for owner, kind in objects]}


def _repositories(survey: Survey) -> list[dict[str, Any]]:
    counts = {
        table: dict(survey.db.execute(f'SELECT repository, count(*) FROM {table} GROUP BY repository'))
        for table in ('tag', 'revision', 'unneeded')
    }
    held = {
        number: (alone, shared)
        for number, alone, shared in survey.db.execute(
            'SELECT repository, sum(CASE WHEN repositories = 1 THEN bytes ELSE 0 END), '
            'sum(CASE WHEN repositories > 1 THEN bytes ELSE 0 END) '
            'FROM mention JOIN holder USING (digest) JOIN weight USING (digest) GROUP BY repository'
        )
    }
    return [
        {
            'name': name,
            'tags': counts['tag'].get(number, 0),
            'manifests': counts['revision'].get(number, 0),
            'bytes_alone': held.get(number, (0, 0))[0],
            'bytes_shared': held.get(number, (0, 0))[1],
            'unneeded_links': counts['unneeded'].get(number, 0),
        }
        for number, name in survey.db.execute('SELECT id, name FROM repository ORDER BY name')
    ]
