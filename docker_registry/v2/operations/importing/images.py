"""Makes the configuration and the manifest of an image out of what a v1 registry knows of it. The same input gives the same bytes.

docker 1.10 did the same when it read images of older engines: MakeConfigFromV1Config and HistoryFromConfig in
https://github.com/moby/moby/blob/v20.10.27/image/v1/imagev1.go. Clients in Go refuse a field of another type than they expect, and
engines before 1.0 wrote such. So only fields of the right type stay.
"""

import contextlib
import datetime
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from docker_registry.v2.operations.importing.memo import Layer
from docker_registry.v2.registry import formats
from docker_registry.v2.registry.names import Digest

CONFIG_TYPES = {
    formats.DOCKER_IMAGE: 'application/vnd.docker.container.image.v1+json',
    formats.OCI_IMAGE: 'application/vnd.oci.image.config.v1+json',
}
#: Media types of layers, for gzip and for plain archives.
LAYER_TYPES = {
    (formats.DOCKER_IMAGE, 'gzip'): 'application/vnd.docker.image.rootfs.diff.tar.gzip',
    (formats.DOCKER_IMAGE, 'tar'): 'application/vnd.docker.image.rootfs.diff.tar',
    (formats.OCI_IMAGE, 'gzip'): 'application/vnd.oci.image.layer.v1.tar+gzip',
    (formats.OCI_IMAGE, 'tar'): 'application/vnd.oci.image.layer.v1.tar',
}
ARCHITECTURE, OS = 'amd64', 'linux'  # of engines that did not write them: docker 0.5 ran on nothing else

#: RFC 3339, as Go's time.Time reads it.
_TIME = re.compile(r'(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)', re.ASCII)
_PORT = re.compile(r'(?:.*:)?(\d{1,5})(/(?:tcp|udp))?', re.ASCII)


def _text(value: Any) -> Any:
    return value if isinstance(value, str) and value else None


def _time(value: Any) -> Any:
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    with contextlib.suppress(ValueError):  # there is no such day
        return value if match and datetime.date.fromisoformat(match[1]) else None


def _flag(value: Any) -> Any:
    return value if value is True else None


def _texts(value: Any) -> Any:
    """A list of texts. Engines wrote a command of one word as text, too."""
    value = [value] if isinstance(value, str) and value else value
    return value if isinstance(value, list) and value and all(isinstance(item, str) for item in value) else None


def _set(value: Any) -> Any:
    return dict.fromkeys(value, {}) if isinstance(value, dict) and value else None


def _labels(value: Any) -> Any:
    return value if isinstance(value, dict) and value and all(isinstance(text, str) for text in value.values()) else None


def _number(value: Any) -> Any:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def _time_span(value: Any) -> Any:
    """Nanoseconds. Engines refuse less than a millisecond, apart from 0."""
    return value if _number(value) is not None and (value == 0 or value >= 10**6) else None


def _health_check(value: Any) -> Any:
    return _checked(value, _HEALTH_CHECK) or None


_HEALTH_CHECK: dict[str, Callable[[Any], Any]] = {
    'Test': _texts,
    **dict.fromkeys(('Interval', 'Timeout', 'StartPeriod'), _time_span),
    'Retries': _number,
}
#: The fields of a container's configuration that engines know today, with what returns a value of the right type, or None.
_CONTAINER: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(('Hostname', 'Domainname', 'User', 'Image', 'WorkingDir', 'MacAddress', 'StopSignal'), _text),
    **dict.fromkeys(
        ('AttachStdin', 'AttachStdout', 'AttachStderr', 'Tty', 'OpenStdin', 'StdinOnce', 'NetworkDisabled', 'ArgsEscaped'), _flag
    ),
    **dict.fromkeys(('Env', 'Cmd', 'Entrypoint', 'OnBuild', 'Shell'), _texts),
    **dict.fromkeys(('ExposedPorts', 'Volumes'), _set),
    'Labels': _labels,
    'Healthcheck': _health_check,
    'StopTimeout': _number,
}
_TOP: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(('architecture', 'os', 'author', 'comment', 'container', 'docker_version', 'variant', 'os.version'), _text),
    'created': _time,
    'os.features': _texts,
}


def _checked(document: Any, fields: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """Return the fields of a document that have the right type."""
    found = {name: check(document.get(name)) for name, check in fields.items()} if isinstance(document, dict) else {}
    return {name: value for name, value in found.items() if value is not None}


def _container(document: Any) -> dict[str, Any]:
    found = _checked(document, _CONTAINER)
    if 'ExposedPorts' not in found and isinstance(document, dict):
        ports = [_PORT.fullmatch(spec) for spec in _texts(document.get('PortSpecs')) or ()]  # of docker before 0.6.5
        exposed: dict[str, Any] = {match[1] + (match[2] or '/tcp'): {} for match in ports if match}
        found |= {'ExposedPorts': exposed} if exposed else {}
    return found


def history(document: Mapping[str, Any], is_empty: bool) -> dict[str, Any]:
    """Return the entry of an image in the history of those that build on it."""
    found = _checked(document, {'created': _time, 'author': _text, 'comment': _text})
    command = _container(document.get('container_config')).get('Cmd')
    if command:
        found['created_by'] = ' '.join(command)
    return found | ({'empty_layer': True} if is_empty else {})


def config(document: Mapping[str, Any], layers: Sequence[Layer]) -> bytes:
    """Return the configuration of an image.

    :param document: the `json` of the image
    :param layers: its own and those of its ancestors, the base first
    """
    found: dict[str, Any] = {'architecture': ARCHITECTURE, 'os': OS} | _checked(document, _TOP)
    found['config'] = _container(document.get('config'))
    if container := _container(document.get('container_config')):
        found['container_config'] = container
    found['history'] = [layer.history for layer in layers]
    found['rootfs'] = {'type': 'layers', 'diff_ids': [layer.diff_id for layer in layers if not layer.is_empty]}
    return _bytes(found)


def manifest(media_type: str, configuration: bytes, layers: Sequence[Layer]) -> bytes:
    """Return the manifest of an image.

    :param media_type: `formats.DOCKER_IMAGE` or `formats.OCI_IMAGE`
    """
    named = [
        {'mediaType': LAYER_TYPES[media_type, layer.kind], 'digest': layer.digest, 'size': layer.size}
        for layer in layers
        if not layer.is_empty
    ]
    about = {'mediaType': CONFIG_TYPES[media_type], 'digest': str(Digest.of(configuration)), 'size': len(configuration)}
    return _bytes({'schemaVersion': 2, 'mediaType': media_type, 'config': about, 'layers': named})


def _bytes(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(',', ':')).encode()
