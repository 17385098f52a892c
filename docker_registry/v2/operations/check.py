"""The command `registry-swift check`: all that a registry asks of Swift, once, on a small object."""

import io
import json
import os
import ssl
import time
import urllib.error
import urllib.request
import uuid
from urllib.parse import urlsplit

from docker_registry.core import exceptions
from docker_registry.v2.settings import storage as storage_settings

FOLDER = '_check'
CONTENT = b'registry-swift check: this object may be deleted\n'
FIRST_PART = 1024**2  # bytes; old Swifts accept no smaller segment, unless it is the last
LISTING_SECONDS = 10.0  # after which a listing should show what was written
WAIT = 0.2  # seconds between two looks at it


class CheckFailed(Exception):
    """What is wrong, and which setting to change."""


class Check:
    """The steps, each a method that returns a remark or raises; in order, each needs those before it."""

    STEPS = ('log_in', 'info', 'container', 'put', 'get', 'range', 'list', 'large_object', 'temp_url', 'delete')

    def __init__(self, config):
        self._config = config
        self._storage = None
        self._folder = f'{FOLDER}/{uuid.uuid4().hex}'
        self._parts = []
        self._has_written = False

    @property
    def _small(self):
        return self._folder + '/object'

    @property
    def _large(self):
        return self._folder + '/large'

    def log_in(self):
        self._storage = storage_settings.open_storage(self._config, **storage_settings.IMPATIENT)
        return f'the account is at {self._storage.storage_url()}'

    def info(self):
        """https://docs.openstack.org/swift/latest/api/discoverability.html"""
        info = self._storage.info()
        if not info:
            return 'this Swift does not say what it can; the next steps find out'
        if 'slo' not in info:
            raise CheckFailed(
                'this Swift has no static large objects (slo), without which layers above swift_segment_size '
                '(SWIFT_SEGMENT_SIZE) cannot be stored: ask its operators to switch them on'
            )
        swift = info.get('swift')
        version = swift.get('version') if isinstance(swift, dict) else None
        there = [name for name in ('slo', 'bulk_delete', 'tempurl', 'ratelimit') if name in info]
        return f'Swift {version or "of an unknown version"} with {", ".join(there)}'

    def container(self):
        """Created if it is missing and may be."""
        self._storage.connect()
        return self._storage.settings.container

    def put(self):
        """Also whether `If-None-Match: *` is understood, which spares the registry requests."""
        self._has_written = True
        self._storage.put_new(self._small, CONTENT)
        if self._storage.put_new(self._small, CONTENT):
            return 'If-None-Match is ignored: layers that are pushed again leave their old segments behind'

    def get(self):
        expect(self._storage.get_content(self._small), CONTENT)

    def range(self):
        expect(self._storage.stream_read(self._small, (5, 9)).read_all(), CONTENT[5:10])

    def list(self):
        started = time.monotonic()
        while self._small not in [stat.path for stat in self._storage.list_page(self._folder)]:
            if time.monotonic() - started > LISTING_SECONDS:
                raise CheckFailed(
                    f'the listing of swift_container (OS_CONTAINER) does not show an object {LISTING_SECONDS:.0f} '
                    'seconds after it was written: tags would be missing from lists as long'
                )
            time.sleep(WAIT)

    def large_object(self):
        upload, content = 'check-' + uuid.uuid4().hex, os.urandom(FIRST_PART)
        self._parts += self._storage.write_parts(upload, io.BytesIO(content))
        self._parts += self._storage.write_parts(upload, io.BytesIO(CONTENT), first=1)
        self._storage.compose(self._large, self._parts)
        expect(self._storage.stream_read(self._large).read_all(), content + CONTENT)
        expect(self._storage.stream_read(self._large, (FIRST_PART - 5, FIRST_PART + 4)).read_all(), content[-5:] + CONTENT[:5])

    def temp_url(self):
        url = self._storage.content_redirect_url(self._small)
        if url is None:
            return 'not tried: swift_temp_url_key (SWIFT_TEMP_URL_KEY) is not set, and need not be'
        try:
            with urllib.request.urlopen(url, timeout=15, context=self._tls_context(url)) as answer:
                expect(answer.read(), CONTENT)
        except urllib.error.HTTPError as error:
            raise CheckFailed(
                f'Swift answers {error.code} to a signed URL: swift_temp_url_key (SWIFT_TEMP_URL_KEY) is not the key of '
                'the container or the account; swift_temp_url_set_key (SWIFT_TEMP_URL_SET_KEY) = container '
                'puts it there'
            )
        except OSError as error:
            host = urlsplit(url).netloc
            raise CheckFailed(f'{host} cannot be reached ({getattr(error, "reason", error)}): check swift_public_url (SWIFT_PUBLIC_URL)')

    def _tls_context(self, url):
        settings = self._storage.settings
        if not url.startswith('https:'):
            return None
        context = ssl.create_default_context(cafile=settings.cacert)
        if settings.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def delete(self):
        self._remove_large()
        self._storage.remove(self._small)
        for path in (self._small, self._large):
            if self._storage.exists(path, newest=True):
                raise CheckFailed(f'{path} is still there after it was deleted')
        self._has_written = False

    def _remove_large(self):
        """By the names that we know: not every Swift gives back which segments an object has."""
        self._storage.replace(self._large, b'')
        self._storage.remove(self._large)
        self._storage.remove_parts(self._parts)

    def clean_up(self):
        """What is left of a check that failed or was interrupted, as far as Swift lets us."""
        for remove in (lambda: self._storage.remove(self._small), self._remove_large) if self._has_written else ():
            try:
                remove()
            except exceptions.UnspecifiedError:
                pass  # why Swift does not work was said already


def expect(found, wanted):
    if found != wanted:
        raise CheckFailed(f'Swift gives back {len(found)} bytes that are not the {len(wanted)} bytes written')


def main(config, as_json=False):
    """Run all steps and print a line for each; the exit status."""
    check = Check(config)
    say = say_json if as_json else say_text
    with storage_settings.quiet():
        try:
            outcomes = set(run(check, say))
        finally:
            check.clean_up()
    return 0 if outcomes == {'ok'} else 1


def run(check, say):
    """The outcomes of the steps, as they come; nothing is tried after a failure."""
    failed = False
    for name in Check.STEPS:
        started = time.monotonic()
        outcome, remark = ('skipped', '') if failed else attempt(getattr(check, name))
        failed = failed or outcome == 'failed'
        say(name, outcome, time.monotonic() - started, remark)
        yield outcome


def attempt(step):
    """(outcome, remark)"""
    try:
        return 'ok', step() or ''
    except exceptions.FileNotFoundError as error:
        return 'failed', f'{error}, though it was just written: this Swift is not consistent enough, or another container answers'
    except (CheckFailed, exceptions.UnspecifiedError) as error:
        return 'failed', ' '.join(str(error).split())


def say_text(name, outcome, seconds, remark):
    spent = f'{seconds:8.3f} s' if outcome != 'skipped' else ''
    print(f'{name.replace("_", " "):13} {outcome:8}{spent}  {remark}'.rstrip(), flush=True)


def say_json(name, outcome, seconds, remark):
    print(json.dumps({'step': name, 'outcome': outcome, 'seconds': round(seconds, 3), 'remark': remark}), flush=True)
