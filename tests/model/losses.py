"""What happens without a rule. Each line is one: the name of the rule, the scene that shows it, what replaces it, what is then wrong."""

from .rules import OVER_T
from .scenes import SEGMENTS, SHORT, Scene, pushes

OURS = Scene(pushes('ours'))
DISTRIBUTION = Scene(pushes('distribution'))
DYNAMIC = Scene(pushes('ours'), dynamic=True)
SHARED = SHORT['two blobs share a segment']
COLLECTED = Scene(pushes('distribution'), crashes=0, **SEGMENTS)
UPLOADED = Scene(pushes('uploader'), crashes=0, **SEGMENTS)
LYING = Scene(pushes('ours'), lies=1, late_blobs=True, crashes=0)

NO_LINK = 'an acknowledged manifest names a blob without a link'
NO_DATA = 'an acknowledged manifest names a blob without data'
HOLE = 'a large object has lost segments'
NO_RECORD = 'data was deleted without a record'
OVERWRITTEN = 'data was put back over newer data'
RESTLESS = 'does not settle'

LOSSES = [
    ('a record before data is deleted', DISTRIBUTION, dict(record=False), NO_RECORD),
    ('a record of names before links are deleted', DISTRIBUTION, dict(names=False), NO_LINK),
    ('who misses a link reads the names', DISTRIBUTION, dict(names_read=False), NO_LINK),
    ('names are found without a listing', DISTRIBUTION, dict(names_at_once=False), NO_LINK),
    ('who misses data reads the record', DISTRIBUTION, dict(read_through=False), NO_DATA),
    ('a record is kept for T and then L', DISTRIBUTION, dict(keep=OVER_T), NO_DATA),
    ('names are kept for T and then L', DISTRIBUTION, dict(keep_names=OVER_T), NO_LINK),
    ('ages are those at the beginning of the run', DISTRIBUTION, dict(from_start=False), NO_LINK),
    ('a record is purging for a while', OURS, dict(purging=False), HOLE),
    ('a record is purging for longer than T', OURS, dict(purge=OVER_T - 1), HOLE),
    ('a record is purging for T and then L, if a HEAD may lie', LYING, dict(purge=OVER_T), HOLE),
    ('only a whole blob comes back from purging', DYNAMIC, dict(linked_again='trash'), HOLE),
    ('no run begins while a DELETE is on its way', OURS, dict(no_late=False), HOLE),
    ('a DELETE of a collector that crashed lands soon', OURS, dict(late=1), NO_DATA),
    ('the collector looks for data before it purges', DISTRIBUTION, dict(look=False), HOLE),
    ('data that a manifest names counts as linked', DISTRIBUTION, dict(needed=False), NO_DATA),
    ('the collector puts back what is needed', DISTRIBUTION, dict(put_back=False), RESTLESS),
    ('DELETE follows its record at once', DISTRIBUTION, dict(fresh=False), NO_LINK),
    ('one collector at a time', Scene(pushes('distribution'), collectors=2), dict(lock=False), NO_RECORD),
    ('data is put back only where there is none', Scene(pushes('ours', 'distribution'), crashes=0), dict(new_only=False), OVERWRITTEN),
    ('segments that others name stay', SHARED, dict(others=False), HOLE),
    ('segments go after two surveys', COLLECTED, dict(twice=False), NO_DATA),
    ('the record of data that is back stays for a while', COLLECTED, dict(settled=False, keep_restored=0), HOLE),
    ('segments go when no upload can commit them, and that is listed', UPLOADED, dict(old_segments=3), HOLE),
]  # fmt: skip

#: Rules that this protocol does not need: nothing is lost without them.
SPARE = [
    ('a survey lists blobs first', Scene(pushes('uploader'), empty=True, crashes=0, **SEGMENTS), dict(blobs_first=False)),
    ('the collector looks again after it deleted a link', DISTRIBUTION, dict(look_after=True)),
    ('a link brings a record back from purging', OURS, dict(linked_again='purging')),
]

#: Those whose scenes are too large for CI.
LONG_SPARE = [
    ('the record of data that is back stays until the data is listed', COLLECTED, dict(settled=False)),
    ('the record of data that is back stays for T and then L', COLLECTED, dict(keep_restored=0)),
    ('the listing does not show what is purged', LYING, dict(listed_too=False)),
    ('a survey lists blobs first, and segments are collected', COLLECTED, dict(blobs_first=False)),
    ('a link brings a record back from purging, and a DELETE may be late', OURS, dict(linked_again='purging', no_late=False)),
]
