"""The numbers of a survey about the tree of a v1 registry."""

from typing import Any

from docker_registry.v2.operations.survey import database
from docker_registry.v2.operations.survey.ages import ages
from docker_registry.v2.operations.survey.survey import Survey

TABLES = """
CREATE TEMP TABLE v1_image (image TEXT PRIMARY KEY, bytes INTEGER, modified REAL) WITHOUT ROWID;
CREATE TEMP TABLE v1_mention (repository TEXT, image TEXT, PRIMARY KEY (repository, image)) WITHOUT ROWID;
CREATE TEMP TABLE v1_holder (image TEXT PRIMARY KEY, repositories INTEGER) WITHOUT ROWID;
"""

IMAGES = """
INSERT INTO v1_image
    SELECT image, sum(CASE WHEN name = 'layer' THEN coalesce(
        size, (SELECT sum(any_segment.size) FROM composed JOIN any_segment USING (name) WHERE owner = path), 0
    ) ELSE 0 END), max(modified)
    FROM v1_file WHERE root = ? GROUP BY image
"""

HOLDERS = """
INSERT INTO v1_mention SELECT DISTINCT repository, ancestor FROM v1_tag JOIN v1_ancestry USING (image);
INSERT INTO v1_holder SELECT image, count(*) FROM v1_mention GROUP BY image;
"""


def figures(survey: Survey) -> dict[str, Any] | None:
    """Return what is in the tree, or None if the survey has not looked for one. `holding.work_out` must have been called."""
    root = database.fact(survey.db, 'v1 root')
    if root is None:
        return None
    survey.db.executescript(TABLES)
    survey.db.execute(IMAGES, (root,))
    survey.db.executescript(HOLDERS)
    images, size = survey.db.execute('SELECT count(*), coalesce(sum(bytes), 0) FROM v1_image').fetchone()
    unreached = 'SELECT modified, bytes FROM v1_image WHERE image NOT IN (SELECT image FROM v1_holder)'
    return {
        'root': root.rstrip('/'),
        'images': {'count': images, 'bytes': size},
        'tags': survey.one('SELECT count(*) FROM v1_tag'),
        'unreached': ages(survey, unreached),
        'segments_without_owner': ages(survey, 'SELECT modified, size FROM v1_segment WHERE name NOT IN (SELECT name FROM owned)'),
        'incomplete': _column(survey, "SELECT image FROM v1_file WHERE name = '_inprogress' AND root = ? ORDER BY image", root),
        'missing': _column(survey, 'SELECT image FROM v1_holder WHERE image NOT IN (SELECT image FROM v1_image) ORDER BY image'),
        'unread': {
            'tags': _column(survey, "SELECT repository || ':' || tag FROM v1_tag WHERE image IS NULL ORDER BY 1"),
            'images': _column(survey, 'SELECT image FROM v1_broken ORDER BY image'),
        },
        'repositories': _repositories(survey),
    }


def _column(survey: Survey, query: str, *parameters: Any) -> list[Any]:
    return [row[0] for row in survey.db.execute(query, parameters)]


def _repositories(survey: Survey) -> list[dict[str, Any]]:
    held = {
        name: rest
        for name, *rest in survey.db.execute(
            'SELECT repository, count(*), sum(CASE WHEN repositories = 1 THEN bytes ELSE 0 END), '
            'sum(CASE WHEN repositories > 1 THEN bytes ELSE 0 END) '
            'FROM v1_mention JOIN v1_holder USING (image) JOIN v1_image USING (image) GROUP BY repository'
        )
    }
    found = []
    for name, tags in survey.db.execute('SELECT repository, count(*) FROM v1_tag GROUP BY repository ORDER BY repository'):
        images, alone, shared = held.get(name, (0, 0, 0))
        found.append({'name': name, 'tags': tags, 'images': images, 'bytes_alone': alone, 'bytes_shared': shared})
    return found
