"""What README.rst and docs/ say is what the code does: their numbers, and the messages that they quote."""

import ast
import pathlib
import re
from types import SimpleNamespace

import pytest

from docker_registry.drivers import swift
from docker_registry.v2.access import addresses, htpasswd, logins, outside, rule_lines, scopes, tokens, watched
from docker_registry.v2.access.remembered import REMEMBERED_SECONDS
from docker_registry.v2.cli import importing
from docker_registry.v2.http import (
    app,
    connections,
    crowd,
    endpoints,
    events,
    headers,
    listeners,
    memory,
    ranges,
    readiness,
    server,
    token_endpoint,
    tracing,
)
from docker_registry.v2.http.metrics import counting, folder, notes
from docker_registry.v2.http.page import budget as page_budget
from docker_registry.v2.http.page import endpoints as page_endpoints
from docker_registry.v2.http.page import images as page_images
from docker_registry.v2.http.page import tags as page_tags
from docker_registry.v2.operations import check, clearing
from docker_registry.v2.operations.collection import aside, bounds, brakes, lock
from docker_registry.v2.operations.fsck import remembered, segments
from docker_registry.v2.operations.fsck import run as fsck
from docker_registry.v2.operations.importing import depth, storing
from docker_registry.v2.operations.importing import run as import_run
from docker_registry.v2.operations.survey import contents, reading, state, walk
from docker_registry.v2.operations.survey import report as survey_report
from docker_registry.v2.registry import (
    blobs,
    catalog,
    errors,
    formats,
    keys,
    layout,
    linked,
    listing,
    manifests,
    names,
    records,
    references,
    referrers,
    sizes,
    strict_json,
    tags,
    upload_state,
    uploads,
)
from docker_registry.v2.settings import config, notifications, storage, values
from registry_client import as_json

CHECKOUT = pathlib.Path(__file__).parents[2]


def in_file(pattern, path):
    """What a pattern captures in a file of the checkout that cannot be imported."""
    return re.search(pattern, (CHECKOUT / path).read_text(), re.MULTILINE)[1]


SERVER, ACCESS, REGISTRY = config.ServerSettings(), config.Access(), config.Config()
NOTIFICATIONS = notifications.Notifications()
DRIVER = {setting.key: setting.default for setting in swift.SETTINGS}
KiB, MiB, GiB, MINUTE = 1024, 1024**2, 1024**3, 60
ADDRESS = f'{SERVER.host}:{SERVER.port}'
PYTHONS = re.findall(r'Python :: (3\.\d+)', (CHECKOUT / 'setup.py').read_text())
STATUSES = [str(status) for status in swift._TRANSIENT_STATUSES]

WORDS = dict(
    enumerate(
        'zero one two three four five six seven eight nine ten eleven twelve thirteen '
        'fourteen fifteen sixteen seventeen eighteen nineteen twenty'.split()
    )
)


def segment_sizes(share):
    """Of the largest object that the driver can store, with the default settings, if no segment gets more memory than `share`."""
    driver, sizes = SimpleNamespace(settings=SimpleNamespace(segment_size=DRIVER['swift_segment_size'])), []
    for number in range(uploads.MOST_PARTS):
        smallest, largest = swift.Storage._segment_sizes(driver, number, sum(sizes))
        sizes.append(max(smallest, min(largest, share)))
    return sizes


LARGEST = swift.LARGEST_GROWN
SIZES = segment_sizes(LARGEST)

#: (page, a fragment of it with a `{}` for each number, the numbers from the code). The page must contain the fragment with these numbers,
#: and may break its lines anywhere. A number that you write into a page and that comes from the code needs a line here.
NUMBERS = [
    ('README.rst', 'Python {} to {}', PYTHONS[0], PYTHONS[-1]),
    ('README.rst', 'a registry on {},', ADDRESS),
    ('README.rst', '``serve`` listens on {} by default', ADDRESS),
    ('README.rst', 'Swift returns {} or {}, or the connection fails', ', '.join(STATUSES[:-1]), STATUSES[-1]),
    ('README.rst', 'renews the token {} seconds before', swift.RENEWED_AHEAD),
    ('README.rst', 'A change of ``rules`` takes effect after {} second', watched.SETTLED_SECONDS),
    ('README.rst', 'below ``{}/``', layout.SEGMENTS),
    ('docs/settings.rst', '``registry-swift`` uses ``{}`` if it is not set', storage.STORAGE_PATH),
    ('docs/notifications.rst', 'REGISTRY_NOTIFICATIONS_TIMEOUT`` ({} seconds)', NOTIFICATIONS.notifications_timeout),
    ('docs/notifications.rst', 'REGISTRY_NOTIFICATIONS_BACKOFF`` ({} seconds)', NOTIFICATIONS.notifications_backoff),
    ('docs/notifications.rst', 'REGISTRY_NOTIFICATIONS_QUEUE`` ({}) events', NOTIFICATIONS.notifications_queue),
    ('docs/notifications.rst', 'waits for its body for {} second at most', listeners.BODY_SECONDS),
    ('docs/notifications.rst', 'The statuses {}, {}, {} and {} mean', *listeners.REFUSALS),
    ('docs/notifications.rst', 'has up to {} seconds to send what waits', events.LAST_SECONDS),
    ('docs/notifications.rst', 'at most once in {} seconds', listeners.SAID_EVERY),
    ('docs/logs.rst', 'that failed, at most {}, also if', tracing.MOST_FAILURES),
    ('docs/logs.rst', 'at most {} letters, digits', in_file(r'\[\\w\.-\]\{1,(\d+)\}', 'docker_registry/v2/http/app.py')),
    ('docs/logs.rst', 'with the first {} characters', swift.LONGEST_EXTRA),
    ('docs/operations.rst', 'shows the {} repositories that have most', survey_report.SHOWN),
    ('docs/metrics.rst', 'registry_workers {}', float(SERVER.workers)),
    ('docs/metrics.rst', 'It listens on {}, because', SERVER.metrics_host),
    ('docs/metrics.rst', 'once a minute, with {} requests to Swift', WORDS[len(records.KINDS) * (notes.READ_EVERY == MINUTE)]),
    ('docs/metrics.rst', '{} MiB for each worker', round(sum(folder.ROOM.values()) / MiB)),
    ('docs/metrics.rst', 'and {} KiB more for each name', folder.ROOM_OF_REPOSITORY / 1024),
    ('docs/metrics.rst', 'The others count as ``{}``', counting.OTHERS),
    ('docs/operations.rst', 'are larger than {} MiB', contents.LARGEST_MANIFEST // MiB),
    ('docs/operations.rst', 'If {} objects in a row', reading.MOST_FAILURES),
    ('docs/operations.rst', 'One for each {} names', f'{walk.PAGE:,}'),
    ('docs/operations.rst', 'each object of {} MiB or more, to learn', contents.SMALLEST_LARGE_OBJECT // MiB),
    ('docs/operations.rst', '``--threads`` ({}) says', reading.THREADS),
    ('docs/operations.rst', 'Each of its ``--workers`` ({}) reads a layer', import_run.Options.workers),
    ('docs/operations.rst', 'everything else are ``--threads`` ({}) at a time', import_run.Options.threads),
    ('docs/switching.rst', 'Layers in objects above {} MiB', storing.MOST_COPIED // MiB),
    ('docs/switching.rst', 'layers above {} MiB are not copied', blobs.SMALL // MiB),
    ('docs/switching.rst', 'docker pulls at most {} layers', depth.MOST_LAYERS),
    ('docs/switching.rst', 'The default of ``--from-path`` is ``{}``', importing.FROM_PATH),
    ('docs/operations.rst', 'repeat the command within {} hour,', state.RESUMED_SECONDS // 3600),
    ('docs/operations.rst', 'small objects below ``{}/``', check.FOLDER),
    ('docs/operations.rst', 'The default section is ``{}``', storage.SECTION),
    ('docs/operations.rst', 'Without a file it is ``{}``', storage.STORAGE_PATH),
    ('docs/operations.rst', '``registry-swift`` on ``{}``', in_file('^ARG BASE=(.*)$', 'Dockerfile')),
    ('docs/operations.rst', 'has Python {} or newer as', PYTHONS[0]),
    ('docs/operations.rst', 'heartbeats to ``{}``', server.MEMORY_FOLDER),
    ('docs/operations.rst', 'heartbeats of its processes in ``{}``', server.MEMORY_FOLDER),
    ('docs/operations.rst', 'runs as user {},', in_file(r'^USER (\d+):', 'Dockerfile')),
    ('docs/operations.rst', 'asks ``/healthz`` every {} seconds', in_file(r'^HEALTHCHECK --interval=(\d+)s', 'Dockerfile')),
    ('docs/operations.rst', 'lets running requests finish, for up to {} seconds', SERVER.graceful_timeout),
    ('docs/operations.rst', 'Old ones finish their requests, for up to {} seconds', SERVER.graceful_timeout),
    ('docs/operations.rst', 'systemd tries again after {} seconds', in_file(r'^RestartSec=(\d+)$', 'deploy/registry-swift.service')),
    ('docs/operations.rst', 'image ``{}``. ``--build-arg', in_file('^ARG BASE=(.*)$', 'deploy/Dockerfile.v1')),
    ('docs/operations.rst', 'seconds to finish ({} by default)', SERVER.graceful_timeout),
    ('docs/operations.rst', 'neither sends nor takes data for {} minutes', connections.CLIENT_TIMEOUT / MINUTE),
    ('docs/operations.rst', 'within {} seconds of its first byte', connections.HEAD_TIMEOUT),
    ('docs/operations.rst', 'must arrive within {} seconds, because', token_endpoint.FORM_SECONDS),
    ('docs/decisions.rst', 'So it has {} seconds, like the head', token_endpoint.FORM_SECONDS),
    ('docs/operations.rst', 'The answer comes within {} seconds', readiness.PATIENCE),
    ('docs/operations.rst', 'remembers the outcome for {} second.', readiness.REMEMBERED),
    ('docs/decisions.rst', 'never retries and waits {} seconds for an answer', readiness.PATIENCE),
    ('CHANGES.rst', '``/readyz`` answers in {} seconds at most', readiness.PATIENCE),
    ('docs/operations.rst', 'of less than {} characters stops the start', values.SHORTEST_SECRET),
    ('docs/operations.rst', 'must have at least {} characters', values.SHORTEST_SECRET),
    ('docs/settings.rst', 'secret of at least {} characters that makes', values.SHORTEST_SECRET),
    ('CHANGES.rst', '``REGISTRY_UPLOAD_SECRET`` needs at least {} characters', values.SHORTEST_SECRET),
    ('docs/operations.rst', 'the object ``{}`` below', layout.SECRET),
    ('docs/operations.rst', f'docker-registry {storage.STORAGE_PATH}/{{}}``', layout.SECRET),
    ('docs/operations.rst', 'If it does not have {} bytes', keys.SIZE),
    ('docs/decisions.rst', 'stores {} random bytes', keys.SIZE),
    ('docs/decisions.rst', 'a new secret again after {} second, before', keys.PAUSE),
    ('docs/decisions.rst', 'each time until the secret is {} seconds old', keys.SETTLED_SECONDS),
    ('docs/layout.rst', '{} random bytes that make', keys.SIZE),
    ('docs/operations.rst', 'with its URL {} bytes', server.LONGEST_REQUEST_LINE),
    ('docs/operations.rst', 'Header fields of a request {}, all together {} KiB 431', server.MOST_FIELDS, connections.LARGEST_HEAD // KiB),
    (
        'docs/operations.rst',
        'A header field {} KiB; ``Range`` and ``Authorization`` {} KiB; 431 ``Host`` {} bytes',
        headers.LONGEST // KiB,
        headers.OTHER_LIMITS['HTTP_AUTHORIZATION'] // KiB,
        headers.OTHER_LIMITS['HTTP_HOST'],
    ),
    ('docs/operations.rst', 'Name of a repository {} characters', names.LONGEST_NAME),
    ('docs/operations.rst', '``REGISTRY_MANIFEST_LIMIT`` ({} MiB)', REGISTRY.manifest_limit // MiB),
    ('docs/operations.rst', 'Tags in one PUT of a manifest {}, and {} KiB', endpoints.MOST_TAGS, endpoints.MOST_TAG_BYTES // KiB),
    ('docs/operations.rst', 'Ranges of a blob in one request {} 200', ranges.MOST_RANGES),
    ('docs/operations.rst', 'Tags on a page (``n``) {} a', headers.LARGEST_PAGE),
    ('docs/operations.rst', '``REGISTRY_PAGE`` ({}), and what {} requests to a shorter page', REGISTRY.page, catalog.MOST_LISTINGS),
    ('CHANGES.rst', 'A page of the catalog ends after {} requests', catalog.MOST_LISTINGS),
    ('docs/operations.rst', 'Scopes for a token {}, with {} characters', scopes.MOST, scopes.LONGEST),
    ('docs/operations.rst', 'Form of ``POST /v2/token`` {} KiB', token_endpoint.LONGEST_FORM // KiB),
    ('docs/operations.rst', 'Fields of this form {} 400', token_endpoint.MOST_FIELDS),
    ('docs/operations.rst', 'or this form to arrive {} seconds', token_endpoint.FORM_SECONDS),
    ('docs/operations.rst', 'Time without data in a request {} minutes', connections.CLIENT_TIMEOUT / MINUTE),
    ('docs/operations.rst', '``REGISTRY_UPLOAD_LIFETIME`` ({} hours)', REGISTRY.upload_lifetime // 3600),
    ('docs/operations.rst', 'repeats at most {} characters', errors.LONGEST_DETAIL),
    ('docs/operations.rst', 'at most {} entries', errors.MOST_ENTRIES),
    ('docs/operations.rst', 'has at most {} characters of a path', app.LONGEST_LOGGED_PATH),
    ('docs/operations.rst', 'without a request open for {} seconds', connections.KEEP_ALIVE),
    ('docs/operations.rst', 'listen on {} only', SERVER.host),
    ('docs/decisions.rst', 'For {} minutes this size counts', linked.VERIFIED_SECONDS / MINUTE),
    ('docs/decisions.rst', 'digests that are at most {} minutes old', tags.PUSH_SECONDS / MINUTE),
    ('docs/decisions.rst', 'for each tag, sent {} at a time', REGISTRY.storage_threads // 2),
    ('docs/decisions.rst', 'refuses more than {} values, more than {} levels', strict_json.MOST_VALUES, strict_json.MOST_DEPTH),
    ('docs/decisions.rst', 'numbers of more than {} digits', strict_json.MOST_DIGITS),
    ('docs/decisions.rst', 'but at least {} MiB, which', manifests.LARGEST // MiB),
    ('docs/decisions.rst', '``REGISTRY_MANIFEST_REFERENCES`` ({}) says', REGISTRY.manifest_references),
    ('docs/decisions.rst', 'after {} missing ones', references.MOST_MISSING),
    ('docs/decisions.rst', 'at most {} damaged blobs', references.MOST_DAMAGED),
    ('docs/decisions.rst', 'A page has at most {} MiB, as', -(-referrers.MOST_BYTES // MiB)),
    ('docs/decisions.rst', 'costs at most {} requests', referrers.PAGE),
    ('docs/decisions.rst', 'what the last {} indexes name', referrers.MOST_INDEXES),
    ('docs/operations.rst', 'bytes of the manifest, {} MiB by default', REGISTRY.manifest_limit // MiB),
    ('docs/operations.rst', 'manifests that it names, {} by default', REGISTRY.manifest_references),
    ('docs/operations.rst', '{} values, {} levels', strict_json.MOST_VALUES, strict_json.MOST_DEPTH),
    ('docs/operations.rst', 'must fit into {} MiB', -(-referrers.MOST_BYTES // MiB)),
    ('docs/operations.rst', 'It names at most {} of them', references.MOST_MISSING),
    ('docs/decisions.rst', '``{}/<algorithm>/<hex>``. A tag that', layout.deleted('a').removeprefix(layout.repository('a') + '/')),
    ('docs/operations.rst', 'a cost of at most {},', htpasswd.MOST_COST),
    ('docs/operations.rst', 'takes effect after {} second,', watched.SETTLED_SECONDS),
    ('docs/operations.rst', 'the cost of {} that ``registry-swift htpasswd`` uses', htpasswd.COST),
    ('docs/operations.rst', '0.3 seconds with {}.', htpasswd.MOST_COST),
    ('docs/operations.rst', 'hashes a correct password at most once in {} minutes', REMEMBERED_SECONDS / MINUTE),
    ('docs/operations.rst', '``REGISTRY_LOGIN_FAILURES`` ({}) for one user', ACCESS.login_failures),
    ('docs/operations.rst', '``REGISTRY_LOGIN_FAILURES`` ({}) wrong passwords of an address for one user', ACCESS.login_failures),
    ('docs/operations.rst', 'user, and once in {} minutes for the same one', logins.FAILURES_SECONDS / MINUTE),
    ('docs/operations.rst', 'a correct password and its roles for {} minutes', REMEMBERED_SECONDS / MINUTE),
    ('docs/operations.rst', 'is good for {} more', (tokens.OUTSIDE_SECONDS + tokens.LEEWAY) / MINUTE),
    ('docs/operations.rst', 'go on for up to {} minutes', (REMEMBERED_SECONDS + tokens.OUTSIDE_SECONDS + tokens.LEEWAY) / MINUTE),
    ('docs/operations.rst', 'tells the client to retry after {} seconds', outside.RETRY_SECONDS),
    (
        'docs/operations.rst',
        'waits for an answer for {} seconds at most. Each process asks {} questions',
        outside.SECONDS,
        outside.AT_A_TIME,
    ),
    ('docs/operations.rst', 'from the same address within {} hours come first', logins.KNOWN_SECONDS / 3600),
    ('docs/operations.rst', 'same ``Retry-After``, or {} minutes if', outside.MOST_RETRY_SECONDS / MINUTE),
    ('docs/operations.rst', '{} times as many for all users', logins.ALL_USERS),
    ('docs/operations.rst', 'The refresh token is older than {} days', tokens.REFRESH_SECONDS / 86400),
    ('docs/decisions.rst', 'lasts {} days', tokens.REFRESH_SECONDS / 86400),
    ('docs/operations.rst', 'same wrong password, it counts once in {} minutes', logins.FAILURES_SECONDS / MINUTE),
    ('docs/operations.rst', 'The count drains in {} minutes', logins.FAILURES_SECONDS / MINUTE),
    ('docs/operations.rst', 'limit of {}, the address may try', ACCESS.login_failures),
    ('docs/operations.rst', 'try again after {} seconds', logins.FAILURES_SECONDS / ACCESS.login_failures),
    ('docs/operations.rst', 'one IPv6 network (/{}) count', addresses.IPV6_NETWORKS[0][0]),
    ('docs/operations.rst', 'An IPv6 /{} ', addresses.IPV6_NETWORKS[1][0]),
    ('docs/operations.rst', 'has {} times as many', WORDS[addresses.IPV6_NETWORKS[1][1]]),
    ('docs/operations.rst', 'An IPv6 /48 and an IPv4 /24 have {} times', addresses.IPV6_NETWORKS[2][1]),
    ('docs/operations.rst', 'An IPv6 /{} and an', addresses.IPV6_NETWORKS[2][0]),
    ('docs/operations.rst', 'and an IPv4 /{} have', addresses.IPV4_NETWORKS[1][0]),
    ('docs/operations.rst', 'An IPv6 /48 and an IPv4 /24 have {} times', addresses.IPV4_NETWORKS[1][1]),
    ('docs/operations.rst', 'At most {} of its requests', logins.MOST_WAITING),
    ('docs/operations.rst', 'for at most {} seconds', logins.WAIT_SECONDS),
    ('docs/operations.rst', 'the last {} hours', logins.KNOWN_SECONDS // 3600),
    ('docs/operations.rst', 'accepts TLS 1.{} or newer', in_file(r'TLSVersion.TLSv1_(\d)', 'docker_registry/v2/http/listening.py')),
    ('docs/operations.rst', 'It does TLS {} or newer', in_file(r'ssl_protocols TLSv(\S+)', 'deploy/nginx.conf')),
    ('docs/operations.rst', 'with a cost of {}, the default of', htpasswd.COST),
    ('docs/operations.rst', 'may have {} requests at a time', in_file(r'limit_conn clients (\d+)', 'deploy/nginx.conf')),
    (
        'docs/operations.rst',
        'The head of a request must arrive within {} seconds. If',
        in_file(r'client_header_timeout (\d+)s', 'deploy/nginx.conf'),
    ),
    ('docs/walkthrough.rst', 'network of its own, {},', in_file(r'subnet: ([0-9./]+)', 'deploy/docker-compose.yml')),
    ('docs/operations.rst', 'They hash a password at most once in {} minutes', REMEMBERED_SECONDS / MINUTE),
    ('docs/operations.rst', 'receives or sends {} blobs of one client', SERVER.threads),
    ('docs/operations.rst', 'keeps {} connections of one', SERVER.connections),
    ('docs/operations.rst', 'slowly may take {} MiB', crowd.MOST_HELD // MiB),
    ('docs/operations.rst', 'waits counts as {} MiB', connections.UPLOAD_HELD / MiB),
    ('docs/operations.rst', 'block within {} second gives', connections.SEND_PATIENCE),
    ('docs/operations.rst', '``SWIFT_SEGMENT_SIZE`` ({} MiB by default)', DRIVER['swift_segment_size'] / MiB),
    ('docs/operations.rst', '``SWIFT_POOL_SIZE`` ({} by default)', DRIVER['swift_pool_size']),
    ('docs/operations.rst', '``GUNICORN_THREADS`` ({}) plus', SERVER.threads),
    ('docs/operations.rst', '``REGISTRY_STORAGE_THREADS`` ({})', REGISTRY.storage_threads),
    ('docs/switching.rst', '``STORAGE_PATH=<p>/{}``', storage.STORAGE_PATH),
    ('docs/switching.rst', 'does not know ``{}``, ``_referrers``', layout.SEGMENTS),
    ('docs/decisions.rst', 'A segment is {} MiB unless', DRIVER['swift_segment_size'] // MiB),
    ('docs/decisions.rst', 'Two segments of {} MiB keep a writer below', DRIVER['swift_segment_size'] // MiB),
    ('docs/decisions.rst', 'A manifest names at most {} segments', uploads.MOST_PARTS),
    ('docs/decisions.rst', 'From {} GiB on they have {} MiB', SIZES.count(SIZES[0]) * SIZES[0] / GiB, SIZES[0] * 2 // MiB),
    ('docs/decisions.rst', 'the object does, up to {} MiB', SIZES[-1] // MiB),
    ('docs/decisions.rst', '``swift_write_memory``, {} MiB by default', DRIVER['swift_write_memory'] // MiB),
    ('docs/decisions.rst', 'early, with at least {} MiB, when', swift.SMALLEST_SEGMENT // MiB),
    ('docs/decisions.rst', 'largest object is {} GiB if it is', round(sum(segment_sizes(DRIVER['swift_write_memory'] // 4)) / GiB)),
    ('docs/decisions.rst', 'alone, {} GiB with enough memory', round(sum(SIZES) / GiB)),
    ('docs/decisions.rst', 'and {} GiB if memory is short', round(sum(segment_sizes(swift.SMALLEST_SEGMENT)) / GiB)),
    ('docs/decisions.rst', 'chunks of at least {} MiB', REGISTRY.chunk_min_length // MiB),
    ('docs/decisions.rst', 'carries up to {} parts', upload_state.MOST_PARTS),
    ('docs/decisions.rst', 'most have less than {} MiB', uploads.SMALLEST_PART // MiB),
    ('docs/operations.rst', 'push or delete get a {}, and say why:: unsupported: {}', errors.ReadOnly.status, errors.ReadOnly.message),
    ('docs/operations.rst', '``SWIFT_WRITE_MEMORY`` ({} MiB by default), plus {} MiB for each', DRIVER['swift_write_memory'] // MiB, 2),
    ('docs/operations.rst', 'above {} GiB has larger segments, up to {} MiB', SIZES.count(SIZES[0]) * SIZES[0] / GiB, LARGEST // MiB),
    ('docs/decisions.rst', 'than Swift allows, {} bytes,', swift.LONGEST_METADATA),
    ('docs/decisions.rst', 'at most once in {} seconds', swift.CONTAINER_CHECK_SECONDS),
    ('docs/decisions.rst', 'up to {} KiB, if they compress', uploads.MOST_PENDING_READ // KiB),
    ('docs/decisions.rst', 'compress to {} bytes', upload_state.MOST_PENDING),
    ('docs/collection.rst', 'than ``--older-than`` ({} days)', bounds.Bounds.older_than // bounds.DAY),
    ('docs/collection.rst', 'for ``--keep-trash`` ({} days)', bounds.Bounds.keep_trash // bounds.DAY),
    ('docs/collection.rst', 'older than {} days and ``--listing-lag``', WORDS[(bounds.Bounds.upload + bounds.Bounds.commit) // bounds.DAY]),
    ('docs/collection.rst', 'after {} days', aside.KEPT // bounds.DAY),
    ('docs/operations.rst', 'below ``_lost/``, for {} days', aside.KEPT // bounds.DAY),
    ('docs/operations.rst', 'reads a blob again after {} days', fsck.READ_AGAIN // bounds.DAY),
    ('docs/operations.rst', 'every {} seconds. So if it is interrupted', remembered.SAVED_SECONDS),
    ('docs/operations.rst', 'not if it has more than {} segments', segments.MOST),
    ('docs/collection.rst', 'differ by more than {} seconds', brakes.MOST_SKEW),
    ('docs/collection.rst', 'more than {} % and more than {} of', round(brakes.MOST_LOST * 100), brakes.FEW),
    ('docs/collection.rst', 'to the trash, of more than {} blobs', brakes.SMALL),
    ('docs/collection.rst', 'takes it after {} minutes if it runs', lock.ENDED // MINUTE),
    ('docs/collection.rst', 'and after {} hours if not', lock.STALE // 3600),
    ('docs/collection.rst', 'one request for each {} names in the container', f'{walk.PAGE:,}'),
    ('docs/decisions.rst', 'saw it within the last {} seconds', linked.FRESH_SECONDS),
    ('docs/decisions.rst', 'bytes of blobs of up to {} KiB', blobs.KEPT // KiB),
    ('docs/decisions.rst', 'it has at most {} MiB and comes whole', blobs.SMALL // MiB),
    ('docs/decisions.rst', 'asks for up to {} ranges', ranges.MOST_RANGES),
    ('docs/decisions.rst', 'at most {} MiB apart share', ranges.READ_THROUGH // MiB),
    ('docs/decisions.rst', 'drops are at most {} MiB, or {} times those', ranges.READ_THROUGH // MiB, ranges.MOST_DROPPED),
    ('docs/page.rst', 'takes {} requests to Swift at most, however', page_budget.MOST),
    ('docs/page.rst', 'lists the container in {} requests', page_budget.LISTINGS),
    ('docs/page.rst', 'lists the repository in {} requests at most', page_budget.LISTINGS),
    ('docs/page.rst', 'manifest of more than {} KiB', page_images.LARGEST // KiB),
    (
        'docs/hostile.rst',
        'A page reads {} KiB of a manifest, and shows {} KiB',
        page_images.LARGEST // KiB,
        page_endpoints.LONGEST_SHOWN // KiB,
    ),
    ('docs/redirects.rst', 'A GET of a blob of at least {} MiB', config.Access().redirect_size // MiB),
    ('docs/redirects.rst', '``SWIFT_TEMP_URL_TTL`` ({} seconds)', DRIVER['swift_temp_url_ttl']),
    ('docs/security.rst', 'get this blob, for {} minutes', DRIVER['swift_temp_url_ttl'] // 60),
    ('docs/page.rst', 'puts the first {} tags in order', page_tags.MOST),
    ('docs/page.rst', 'It shows {} on a page', page_tags.ROWS),
    ('docs/page.rst', 'shows {} referrers, and the sizes of {} platforms', page_budget.REFERRERS, page_budget.PLATFORMS),
    ('docs/page.rst', 'to delete up to {} at once', page_endpoints.MOST_DELETES),
    ('docs/page.rst', 'The page reads {} of them each time', page_budget.READS),
    ('docs/page.rst', 'The sizes in the tree take {} requests', sizes.MOST_READ + 1),
    ('docs/page.rst', '``_gc/sizes``, {} repositories in an object', sizes.ROWS),
    ('docs/page.rst', 'A page reads {} of these objects at most', sizes.MOST_READ),
    ('docs/operations.rst', 'the command waits {} seconds at its end', clearing.SETTLE_SECONDS),
    ('docs/decisions.rst', 'names it for {} seconds', linked.FRESH_SECONDS),
    ('docs/decisions.rst', 'looks once more after {} seconds', clearing.SETTLE_SECONDS),
    ('docs/decisions.rst', 'Routes are {} regular expressions', WORDS[len(app.ROUTES)]),
    ('docs/decisions.rst', 'gunicorn {} or newer', in_file("'gunicorn>=(\\d+)", 'setup.py')),
    ('docs/decisions.rst', 'A token expires after {} seconds', ACCESS.token_lifetime),
    ('docs/decisions.rst', 'accepts a token {} seconds longer', tokens.LEEWAY),
    ('benchmarks/README.rst', 'with python-swiftclient {},', in_file('^OURS.*swiftclient==([0-9.]+)', 'benchmarks/environments.py')),
    ('benchmarks/README.rst', 'python-swiftclient {} that it pins', in_file('^RELEASED.*client==([0-9.]+)', 'benchmarks/environments.py')),
    ('benchmarks/README.rst', '1 and then {} threads', in_file('^CALLERS = [(]1, ([0-9]+)[)]', 'benchmarks/driver.py')),
    ('benchmarks/README.rst', 'with {} workers', WORDS[int(in_file('workers=([0-9]+)', 'tests/end_to_end/servers.py'))]),
    ('benchmarks/README.rst', 'one layer of {} MiB', in_file('^SIZE = ([0-9]+)', 'benchmarks/registry.py')),
    ('benchmarks/README.rst', 'and {} layers of', in_file('64 [*] 1024,[)] [*] ([0-9]+)', 'benchmarks/registry.py')),
    ('benchmarks/README.rst', 'layers of {} KiB', in_file('([0-9]+) [*] 1024,[)] [*]', 'benchmarks/registry.py')),
    ('benchmarks/README.rst', '{} clients at a time', in_file('^CALLERS, CALLS = ([0-9]+)', 'benchmarks/registry.py')),
    ('benchmarks/README.rst', 'back for {} ms', in_file('^DELAYS = 0, ([0-9]+)', 'benchmarks/registry.py')),
    ('benchmarks/README.rst', 'by tag for {} seconds', in_file('^SECONDS, QUICK_SECONDS = ([0-9]+)', 'benchmarks/storms.py')),
    ('benchmarks/README.rst', '128 clients for {} tags', in_file('^REPOSITORY, TAGS = .*, ([0-9]+)', 'benchmarks/storms.py')),
    ('benchmarks/README.rst', 'measured with {} tags', f'{10 ** int(in_file("^WALKED = 10[*][*]([0-9]+)", "benchmarks/scale.py")):,}'),
    ('docs/benchmarks.rst', 'one request for each {} objects', f'{listing.PAGE:,}'),
    ('docs/benchmarks.rst', 'Listings have {} names', f'{listing.PAGE:,}'),
    ('docs/benchmarks.rst', 'for each repository, and {} at most', catalog.MOST_LISTINGS),
    ('docs/benchmarks.rst', 'one request for each {} names', f'{walk.PAGE:,}'),
    ('docs/chaos.rst', '{} registries with', WORDS[int(in_file(r'^REGISTRIES, CLIENTS = (\d+)', 'tests/chaos/__main__.py'))]),
    ('docs/chaos.rst', 'registries with {} processes each', WORDS[int(in_file(r'^WORKERS = (\d+)', 'tests/chaos/registries.py'))]),
    ('docs/chaos.rst', '{} clients push', WORDS[int(in_file(r'^REGISTRIES, CLIENTS = \d+, (\d+)', 'tests/chaos/__main__.py'))].title()),
    ('docs/chaos.rst', 'Segments have {} MiB', in_file(r"'SWIFT_SEGMENT_SIZE': '(\d+)MiB'", 'tests/chaos/registries.py')),
    ('docs/chaos.rst', 'or within {} seconds', in_file(r'^DOWN = \(0, ([0-9.]+)\)', 'tests/chaos/registries.py')),
    ('docs/chaos.rst', 'for {} to', in_file(r'^SHORTEST, LONGEST = ([0-9.]+),', 'tests/chaos/faults.py')),
    ('docs/chaos.rst', 'to {} seconds a whole', float(in_file(r'^SHORTEST, LONGEST = [0-9.]+, ([0-9.]+)', 'tests/chaos/faults.py'))),
    ('docs/chaos.rst', 'to {} seconds memcached', float(in_file(r'^PROXY_STOPPED = ([0-9.]+)', 'tests/chaos/faults.py'))),
    ('docs/chaos.rst', 'replicators run {}, and', {2: 'twice'}[int(in_file(r'^PASSES = (\d+)', 'tests/chaos/__main__.py'))]),
    ('docs/chaos.rst', 'SIGKILL, to {} in 100', round(100 * float(in_file(r'^KILLED, RIVALS = ([0-9.]+)', 'tests/chaos/collector.py')))),
    ('docs/chaos.rst', 'older than {} seconds. It keeps', in_file(r'^OLDER_THAN = (\d+)', 'tests/chaos/hurried.py')),
    ('docs/chaos.rst', 'the trash for {} seconds, and', in_file(r"'keep_trash': (\d+)", 'tests/chaos/hurried.py')),
    ('docs/chaos.rst', 'ends within {} seconds, as', in_file(r'^REQUEST = (\d+)', 'tests/chaos/hurried.py')),
    ('docs/chaos.rst', 'longer than {} seconds.', in_file(r'^UPLOAD = (\d+)', 'tests/chaos/hurried.py')),
    ('docs/chaos.rst', 'once in {} seconds, between', in_file(r'^AGREE_SECONDS = (\d+)', 'tests/chaos/faults.py')),
    ('CONTRIBUTING.rst', 'than {} MB, and no worker', in_file(r'^MOST_MEMORY = (\d+)', 'tests/hostile/test_attacks.py')),
    (
        'CONTRIBUTING.rst',
        '``/healthz`` {} times a second',
        round(1 / float(in_file(r'^HEALTH_EVERY, PULL_EVERY = ([0-9.]+)', 'tests/hostile/probes.py'))),
    ),
    (
        'CONTRIBUTING.rst',
        'image {} times a second',
        round(1 / float(in_file(r'^HEALTH_EVERY, PULL_EVERY = [0-9.]+, ([0-9.]+)', 'tests/hostile/probes.py'))),
    ),
    ('CONTRIBUTING.rst', 'answer within {} seconds', in_file(r'^TIMEOUT = (\d+)', 'tests/hostile/probes.py')),
    ('CONTRIBUTING.rst', 'registry of {} processes', WORDS[int(in_file(r'^WORKERS = (\d+)', 'tests/hostile/bench.py'))]),
    ('docs/hostile.rst', 'less than {} seconds', in_file(r'^LIMIT = ([0-9.]+)', 'tests/hostile/test_attacks.py')),
    ('docs/hostile.rst', 'than {} MB of memory', in_file(r'^MOST_MEMORY = (\d+)', 'tests/hostile/test_attacks.py')),
    ('docs/hostile.rst', 'answers in {} KB at most', int(in_file(r'^MOST = (\d+)', 'tests/hostile/test_answers.py')) // 1000),
    ('docs/hostile.rst', 'bcrypt of cost {}', in_file(r'^COST = (\d+)', 'tests/hostile/bench.py')),
    ('docs/walkthrough.rst', 'in the image has the number {}', in_file('^USER ([0-9]+)', 'Dockerfile')),
    ('docs/walkthrough.rst', 'base image is ``{}``', in_file('^ARG BASE=(.*)', 'Dockerfile')),
    ('docs/walkthrough.rst', '--stop-timeout {} ', SERVER.graceful_timeout),
    ('docs/ceph.rst', 'a real one, version {} of', in_file("version='([0-9.]+)'", 'tests/fake_swift/ceph.py')),
    ('README.rst', 'Tests run on version {},', in_file(r"version='(\d+\.\d+)", 'tests/fake_swift/ceph.py')),
    ('docs/operations.rst', 'free blocks of {} MiB or more', memory.LARGE // MiB),
    ('docs/security.rst', 'wait after {} wrong ones', ACCESS.login_failures),
    ('docs/rules.rst', 'takes effect after {} second,', watched.SETTLED_SECONDS),
    ('docs/rules.rst', 'has at most {} MiB,', rule_lines.LARGEST_FILE // MiB),
    ('docs/rules.rst', 'at most {} characters in a line', f'{rule_lines.LONGEST_LINE:,}'),
    ('docs/security.rst', 'runs as user {}.', in_file(r'^USER (\d+):', 'Dockerfile')),
    ('docs/security.rst', 'writes only to ``{}``', server.MEMORY_FOLDER),
    ('docs/security.rst', 'expires after {} days', tokens.REFRESH_SECONDS // 86400),
    ('docs/security.rst', 'for {} minutes by default', WORDS[(ACCESS.token_lifetime + tokens.LEEWAY) // MINUTE]),
    ('docs/security.rst', 'ends after {} hours', REGISTRY.upload_lifetime // 3600),
    ('docs/security.rst', 'For {} minutes it remembers', REMEMBERED_SECONDS // MINUTE),
    ('CONTRIBUTING.rst', 'longer than {} ms of the', in_file(r'^MOST_SECONDS = 0\.0(\d+)', 'tests/fuzz/target.py') + '0'),
    ('CONTRIBUTING.rst', 'An input of {} KiB', in_file(r'^LONGEST = (\d+) \* 1024', 'tests/fuzz/target.py')),
    ('docs/layout.rst', 'For the registry v2 API that is ``{}``', storage.STORAGE_PATH),
]


def text_of(page):
    """The page with its lines joined, so that a fragment may break anywhere."""
    return ' '.join((CHECKOUT / page).read_text().split())


def shown(number):
    return f'{number:g}' if isinstance(number, float) else str(number)


@pytest.mark.parametrize('page, fragment, numbers', [(page, fragment, numbers) for page, fragment, *numbers in NUMBERS])
def test_a_page_has_the_numbers_of_the_code(page, fragment, numbers):
    assert fragment.format(*map(shown, numbers)) in text_of(page)


def messages_of_the_code():
    """Every text in docker_registry, with `...` for whatever is put into it when it is shown."""
    for module in (CHECKOUT / 'docker_registry').rglob('*.py'):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield ''.join(part.value if isinstance(part, ast.Constant) else '...' for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub('%[sd]', '...', node.value)


def test_operations_quotes_the_messages_of_the_code():
    section = (CHECKOUT / 'docs/operations.rst').read_text().split('If the start fails\n')[1].split('\n\n')[1]
    quoted = re.findall(r'(?m)^``(.+?)``  ', section)
    messages = list(messages_of_the_code())

    assert len(quoted) == 12
    for quote in quoted:
        words = [part.strip() for part in re.sub(r'\d+|: Address already in use', '...', quote).split('...')]
        assert any(re.search('.*'.join(map(re.escape, words)), message, re.DOTALL) for message in messages), quote


# Requests to Swift


def test_what_put_content_costs(fake):
    assert 'one request for a new path' in text_of('docs/decisions.rst')
    assert 'any other plain object costs three requests' in text_of('docs/decisions.rst')

    one, other = (driver_on(fake) for _ in range(2))

    assert [cost(one, 'new'), cost(one, 'new'), cost(other, 'new')] == [1, 1, 3]


def driver_on(fake):
    driver = swift.Storage(
        config={
            'swift_authurl': fake.auth_url,
            'swift_auth_version': '1',
            'swift_user': fake.user,
            'swift_password': fake.key,
            'swift_container': 'registry',
        }
    )
    driver.connect()
    return driver


def cost(driver, path):
    sent = []
    driver.on_request = lambda *request: sent.append(request)
    driver.put_content(path, b'content')
    return len(sent)


def test_what_a_remembered_manifest_costs(fake_place):
    assert 'still costs two requests' in text_of('docs/decisions.rst')
    registry = fake_place.registry()
    manifest = as_json({'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': []})
    assert registry('PUT', '/v2/a/manifests/v1', manifest).status_code == 201

    del registry.swift_requests[:]
    registry('GET', '/v2/a/manifests/v1')

    assert len(registry.swift_requests) == 2
