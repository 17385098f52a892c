"""What a registry shows besides what it counts: facts of its start, and what is in the container about surveys, collections and checks.

One worker reads the records in the container, and leaves them in the folder of the metrics. Whoever answers Prometheus reads them there.
"""

import contextlib
import json
import logging
import math
import os
import threading
import time

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from docker_registry.v2.http.metrics import folder
from docker_registry.v2.registry import records

logger = logging.getLogger(__name__)

READ_EVERY = 60  # seconds between two looks of all processes of a registry at the records in the container
LOOK_EVERY = 2  # seconds after which a worker looks whether it should read them
ABOUT = 'about'

#: {metric: (text, kind of record, the fields that lead to its number)}
GAUGES = {
    'registry_survey_timestamp_seconds': ('When the last survey ended.', records.SURVEY, ('finished',)),
    'registry_survey_duration_seconds': ('How long the last survey took.', records.SURVEY, ('seconds',)),
    'registry_repositories': ('Repositories, by the last survey.', records.SURVEY, ('repositories',)),
    'registry_tags': ('Tags, by the last survey.', records.SURVEY, ('tags',)),
    'registry_manifests': ('Manifests, by the last survey.', records.SURVEY, ('manifests',)),
    'registry_blobs': ('Blobs, by the last survey.', records.SURVEY, ('blobs',)),
    'registry_blob_bytes': ('Bytes of all blobs, each once, by the last survey.', records.SURVEY, ('blob_bytes',)),
    'registry_stored_bytes': ('Bytes in the container, by the last survey.', records.SURVEY, ('stored_bytes',)),
    'registry_unread_objects': ('Manifests and objects that the last survey could not read.', records.SURVEY, ('unread',)),
    'registry_collection_timestamp_seconds': ('When the last collection ended.', records.COLLECTION, ('finished',)),
    'registry_collection_success_timestamp_seconds': ('When one last succeeded.', records.COLLECTION, ('succeeded',)),
    'registry_collection_duration_seconds': ('How long the last collection took.', records.COLLECTION, ('seconds',)),
    'registry_trash_bytes': ('Bytes in the trash after the last collection.', records.COLLECTION, ('trash_bytes',)),
    'registry_check_timestamp_seconds': ('When the last check ended.', records.CHECK, ('finished',)),
    'registry_check_deep_timestamp_seconds': ('When the last check ended that read all blobs.', records.CHECK, ('deep',)),
    'registry_check_duration_seconds': ('How long the last check took.', records.CHECK, ('seconds',)),
    'registry_check_status': ('Exit status of the last check: 0 whole, 1 repaired, 2 damaged.', records.CHECK, ('status',)),
    'registry_check_damages': ('Damages that the last check left.', records.CHECK, ('damaged',)),
    'registry_check_unknown': ('What the last check could not find out.', records.CHECK, ('unknown',)),
    'registry_check_repaired': ('Damages that the last check repaired.', records.CHECK, ('repaired',)),
    'registry_check_unpullable_tags': ('Tags that the last check found not pullable.', records.CHECK, ('unpullable',)),
    'registry_read_only': ('1 if this registry refuses every push and delete.', ABOUT, ('read_only',)),
    'registry_workers_configured': ('Worker processes that there should be.', ABOUT, ('workers',)),
    'process_start_time_seconds': ('When this registry started.', ABOUT, ('started',)),
}
COUNTERS = {
    'registry_collection_freed_bytes_total': ('Bytes that collections deleted for good.', records.COLLECTION, ('totals', 'freed_bytes')),
    'registry_collection_trashed_bytes_total': ('Bytes that went to the trash.', records.COLLECTION, ('totals', 'trashed_bytes')),
    'registry_collection_trashed_blobs_total': ('Blobs that went to the trash.', records.COLLECTION, ('totals', 'trashed_blobs')),
    'registry_collection_restored_blobs_total': ('Blobs that came back.', records.COLLECTION, ('totals', 'restored_blobs')),
}
#: {metric: (class, text, kind of record, field, label, the values of the label)}
LABELLED = {
    'registry_collection_runs_total': (
        CounterMetricFamily,
        'Collections, by how they ended.',
        records.COLLECTION,
        'runs',
        'outcome',
        ('done', 'brake', 'listing', 'error'),
    ),
    'registry_garbage_bytes': (
        GaugeMetricFamily,
        'Bytes that nothing needs, by the last survey.',
        records.SURVEY,
        'garbage_bytes',
        'kind',
        ('layer_links', 'blobs', 'segments', 'uploads'),
    ),
}


class Notes:
    """A collector of prometheus-client. What is not known, or is no number, is left out.

    :param path: of a `folder.Folder`
    """

    def __init__(self, path):
        self._path = path

    def collect(self):
        found = {kind: _load(self._path, kind) for kind in (*records.KINDS, ABOUT)}
        for table, family in ((GAUGES, GaugeMetricFamily), (COUNTERS, CounterMetricFamily)):
            for name, (text, kind, fields) in table.items():
                value = _number(found[kind], *fields)
                if value is not None:
                    yield family(name, text, value=value)
        for name, (family, text, kind, field, label, values) in LABELLED.items():
            if found[kind]:
                metric = family(name, text, labels=[label])
                for value in values:
                    metric.add_metric([value], _number(found[kind], field, value) or 0)
                yield metric
        version = GaugeMetricFamily('registry_build_info', 'The version of this registry.', labels=['version'])
        version.add_metric([str(found[ABOUT].get('version', ''))], 1)
        yield version


def _number(found, *fields):
    for field in fields:
        found = found.get(field) if isinstance(found, dict) else None
    try:
        number = float(found) if isinstance(found, (int, float)) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _load(path, kind):
    try:
        with open(os.path.join(path, kind + '.json'), encoding='utf-8') as file:
            found = json.load(file)
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def leave(path, kind, record):
    """Keep a record in the folder of the metrics, for those who answer Prometheus."""
    name = os.path.join(path, f'{kind}.json')
    with open(name + '.new', 'w', encoding='utf-8') as file:
        json.dump(record, file)
    os.replace(name + '.new', name)  # nobody reads half of it


def begin_to_read(path, storage):
    """Read the records of the container again and again, as long as somebody asks for metrics, and no other worker does it.

    :param storage: the driver, or that of a read-only registry
    """
    threading.Thread(target=_go_on_reading, args=(path, storage), daemon=True).start()


def _go_on_reading(path, storage):
    while True:
        time.sleep(LOOK_EVERY)
        with contextlib.suppress(OSError):  # no more open files, for example: the next look may succeed
            if folder.is_asked(path):
                with folder.turn(path, READ_EVERY) as is_mine:
                    if is_mine:
                        _read(path, storage)


def _read(path, storage):
    """Read all records. If one cannot be read, the old one stays: whatever it was, the next look may succeed."""
    for kind in records.KINDS:
        try:
            leave(path, kind, records.read(storage, kind))
        except Exception as error:
            logger.warning('the record of the last %s cannot be read for the metrics: %s', kind, error)
