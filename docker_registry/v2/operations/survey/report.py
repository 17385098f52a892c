"""The report of a survey as text, for people: what repositories hold, and what could be freed."""

from collections.abc import Iterable, Iterator
from typing import Any

from docker_registry.v2.operations import duration
from docker_registry.v2.operations.survey.ages import OLDER, STEPS

SHOWN = 20  # rows of a table, unless all are wanted
UNITS = ('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')

GARBAGE = {
    'layer_links': 'links of layers that no manifest names',
    'blobs': 'blobs that nothing links',
    'segments': 'segments that nothing names',
    'uploads': 'uploads of CNCF distribution',
}


def text(found: dict[str, Any], everything: bool = False) -> str:
    """Return the report.

    :param found: the document from `figures`
    :param everything: show all rows of all tables
    """
    lines = [*_repositories(found['repositories'], 'MANIFESTS', 'manifests', everything), '', *_container(found), '', *_garbage(found)]
    lines += [*_deleted(found['trash'], found['aside']), *_unread(found['unread'], everything), *_v1(found['v1'], everything)]
    return '\n'.join(lines)


def size(count: int) -> str:
    """Return a size in the largest unit of which it has at least one, with one digit after the point."""
    number, unit = float(count), 0
    while number >= 1024 and unit < len(UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f'{number:.1f} {UNITS[unit]}' if unit else f'{count} B'


def aligned(rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Yield the rows of a table as lines. The first column is on the left of its place, and all others on the right."""
    table = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table)]
    for first, *others in table:
        line = first.ljust(widths[0]) + ''.join('  ' + cell.rjust(width) for cell, width in zip(others, widths[1:]))
        yield line.rstrip()


def printable(name: str) -> str:
    """Return a name without characters that a terminal would obey: others may have written any name."""
    return ''.join(character if character.isprintable() else ascii(character)[1:-1] for character in name)


def _repositories(found: list[dict[str, Any]], heading: str, key: str, everything: bool) -> Iterator[str]:
    largest = sorted(found, key=lambda row: (-row['bytes_alone'], -row['bytes_shared'], row['name']))
    shown = largest if everything else largest[:SHOWN]
    rows = [(printable(row['name']), row['tags'], row[key], size(row['bytes_alone']), size(row['bytes_shared'])) for row in shown]
    yield from aligned([('REPOSITORY', 'TAGS', heading, 'ALONE', 'SHARED'), *rows])
    if len(largest) > len(shown):
        yield f'... and {len(largest) - len(shown)} smaller ones: see --all'


def _container(found: dict[str, Any]) -> Iterator[str]:
    container = found['container']
    stored = container['stored']
    yield from aligned(
        [
            ('CONTAINER', 'COUNT', 'BYTES'),
            ('repositories', container['repositories'], ''),
            ('tags', container['tags'], ''),
            ('manifests', container['manifests'], ''),
            ('blobs, with their segments', container['blobs']['count'], size(container['blobs']['bytes'])),
            ('stored in all', container['names'], size(stored['bytes'])),
        ]
    )


def _garbage(found: dict[str, Any]) -> Iterator[str]:
    steps = ['<' + name for name, _ in STEPS] + [OLDER.upper()]
    rows = []
    for kind, title in GARBAGE.items():
        piece = found['garbage'][kind]
        old = [age(piece['youngest']), age(piece['oldest'])]
        rows.append(
            (
                title,
                piece['count'],
                size(piece['bytes']),
                *old,
                *(size(step['bytes']) if step['count'] else '-' for step in piece['ages'].values()),
            )
        )
    yield from aligned([('GARBAGE', 'COUNT', 'BYTES', 'YOUNGEST', 'OLDEST', *steps), *rows])
    yield 'What is younger than a few days may belong to a push that is under way.'


def age(seconds: float | None) -> str:
    return '-' if seconds is None else duration.roughly(seconds)


def _deleted(trash: dict[str, int], aside: dict[str, int]) -> Iterator[str]:
    if trash['blobs'] or trash['names'] or aside['blobs']:
        yield ''
    if trash['blobs'] or trash['names']:
        yield f'The trash has {trash["blobs"]} blobs with {size(trash["bytes"])}, and links in {trash["names"]} objects.'
    if aside['blobs']:
        yield f'Repairs have put aside {aside["blobs"]} blobs with {size(aside["bytes"])}.'


def _unread(unread: dict[str, Any], everything: bool) -> Iterator[str]:
    manifests = [(entry['digest'], entry['state'], ' '.join(entry['repositories'])) for entry in unread['manifests']]
    yield from _list('MANIFESTS THAT CANNOT BE READ: a collection leaves their repositories alone', manifests, everything)
    objects = [(entry['object'], entry['state']) for entry in unread['objects']]
    yield from _list('OBJECTS WHOSE SEGMENTS ARE NOT KNOWN', objects, everything)


def _list(title: str, rows: list[Any], everything: bool) -> Iterator[str]:
    if rows:
        yield from ('', title)
        shown = rows if everything else rows[:SHOWN]
        yield from ('  ' + '  '.join(map(printable, row)) for row in shown)
        if len(rows) > len(shown):
            yield f'  ... and {len(rows) - len(shown)} more: see --all'


def _v1(v1: dict[str, Any] | None, everything: bool) -> Iterator[str]:
    if v1 is None:
        return
    yield from ('', f'V1 REGISTRY below {v1["root"] or "/"}', *_repositories(v1['repositories'], 'IMAGES', 'images', everything), '')
    rows = [('', 'COUNT', 'BYTES', 'YOUNGEST', 'OLDEST'), ('images', v1['images']['count'], size(v1['images']['bytes']), '', '')]
    for title, piece in (('images that no tag needs', v1['unreached']), ('segments that nothing names', v1['segments_without_owner'])):
        rows.append((title, piece['count'], size(piece['bytes']), age(piece['youngest']), age(piece['oldest'])))
    yield from aligned(rows)
    for title, names in (
        ('IMAGES WHOSE PUSH HAS NOT ENDED', v1['incomplete']),
        ('IMAGES THAT ARE NEEDED AND MISSING', v1['missing']),
        ('TAGS THAT CANNOT BE READ', v1['unread']['tags']),
        ('IMAGES WHOSE ANCESTRY CANNOT BE READ', v1['unread']['images']),
    ):
        yield from _list(title, [(name,) for name in names], everything)
