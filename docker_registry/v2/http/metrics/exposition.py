"""The text for Prometheus: what all processes have counted, and the notes.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from docker_registry.v2.http.metrics import folder
from docker_registry.v2.http.metrics.notes import Notes

CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'


def exposition(path):
    """Return the text. It is made of files in memory only, so it is there when Swift is not.

    :param path: of a `folder.Folder`
    """
    folder.ask(path)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path)
    registry.register(Notes(path))
    return generate_latest(registry)
