"""Images that a v1 registry has left in the container, because no tag reaches them any more.

The v1 registry cannot put anything back. So they go only while nobody pushes: a push leaves out images that are there already.
"""

from docker_registry.v2.operations.collection.problems import Stopped
from docker_registry.v2.operations.collection.work import Work

BATCH = 10000  # files that go at a time

#: Of the tree whose tags were read. There may be another v1 registry at our own root.
UNREACHED = """
SELECT image, path, ifnull(size, 0) FROM v1_file WHERE image NOT IN (SELECT ancestor FROM v1_ancestry)
AND root = (SELECT value FROM fact WHERE name = 'v1 root')
AND image NOT IN (SELECT image FROM v1_file GROUP BY image HAVING max(modified) >= ?)
ORDER BY image, name != 'json'"""  # an image without `json` does not exist, and a push sends it again


def collect_images(work: Work) -> None:
    """Delete the images of a v1 registry that no tag reaches. Their segments then count as unnamed.

    :raises Stopped: a tag or an ancestry cannot be read, so nobody knows which images they need
    """
    unread = work.db.execute('SELECT ltrim(path, ?) FROM v1_tag WHERE image IS NULL', ['/']).fetchone()
    broken = work.db.execute('SELECT image FROM v1_broken').fetchone()
    if unread or broken:
        what = f'the tag {unread[0]}' if unread else f'the ancestry of {broken[0]}'
        raise Stopped(
            f'nobody knows which images of the v1 registry are needed: {what} cannot be read. Repair it, or delete that tag. '
            'Leave out --v1-images until then'
        )
    found = _not_held(work, work.db.execute(UNREACHED, [work.cutoff(work.bounds.older_than)]).fetchall())
    work.report.add('v1_images', len({image for image, _, _ in found}))
    work.report.add('v1_image_bytes', sum(size for _, _, size in found))
    storage = work.storage.at('')
    for first in range(0, len(found), BATCH):
        paths = [path for _, path, _ in found[first : first + BATCH]]
        if not work.dry_run:
            work.change()
            storage.discard_all([path.lstrip('/') for path in paths])
        work.db.executemany('DELETE FROM composition WHERE owner = ?', [(path,) for path in paths])
        work.db.executemany('DELETE FROM composed WHERE owner = ?', [(path,) for path in paths])
        work.db.executemany('DELETE FROM v1_file WHERE path = ?', [(path,) for path in paths])


def _not_held(work: Work, found: list[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """Return the rows without the images whose layers are blobs as well: `registry-swift import-v1 --link` has made them so."""
    tree = work.storage.at(work.db.execute("SELECT value FROM fact WHERE name = 'v1 root'").fetchone()[0])
    listed, images = set(tree.held()), sorted({image for image, _, _ in found})  # a listing may be behind, and a HEAD may miss one

    def is_held(image: str) -> bool:
        layer = f'images/{image}/layer'
        return layer in listed or tree.is_held(layer)

    held = {image for image, is_one in zip(images, work.together.map(is_held, images)) if is_one}
    if held:
        work.report.remark(f'{len(held)} images of the v1 registry stay, because images that were imported with --link need their layers')
    return [row for row in found if row[0] not in held]
