"""The command `registry-swift check`: tries every operation that a registry needs from Swift once, on small objects."""

import io
import json
import os
import ssl
import time
import urllib.error
import urllib.request
import uuid
from typing import Any
from urllib.parse import urlsplit

from docker_registry.core import exceptions
from docker_registry.v2.settings import storage as storage_settings

FOLDER = '_check'
CONTENT = b'registry-swift check: this object may be deleted\n'
FIRST_PART = 1024**2  # bytes; old Swifts refuse smaller segments, except for the last one
LISTING_SECONDS = 10.0  # time for a listing to show a new object
WAIT = 0.2  # seconds between two listings


class CheckFailed(Exception):
    """A step failed. The text says what is wrong and which setting to change."""


class Check:
    """The steps of the check. Each is a method that returns a remark or None, or raises. A step needs those before it."""

    STEPS = ('log_in', 'info', 'container', 'put', 'get', 'range', 'list', 'large_object', 'temp_url', 'delete')

    def __init__(self, config):
        self._config = config
        self._storage: Any = None
        self._folder = f'{FOLDER}/{uuid.uuid4().hex}'
        self._parts: list = []
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
            return 'this Swift does not list its features; the next steps try them'
        if 'slo' not in info:
            raise CheckFailed(
                'this Swift has no static large objects (slo), and the registry stores layers as such. '
                'Ask the operators of this Swift to enable them'
            )
        swift = info.get('swift')
        version = swift.get('version') if isinstance(swift, dict) else None
        there = [name for name in ('slo', 'bulk_delete', 'tempurl', 'ratelimit') if name in info]
        return f'Swift {version or "of an unknown version"} with {", ".join(there)}'

    def container(self):
        """Find the container, or create it if it is missing and swift_create_container allows that."""
        self._storage.connect()
        return self._storage.settings.container + (', on Ceph' if self._storage.is_ceph() else '')

    def put(self):
        """Store an object twice. A Swift that honours `If-None-Match: *`, which saves the registry requests, refuses the second."""
        self._has_written = True
        self._storage.put_new(self._small, CONTENT)
        if self._storage.put_new(self._small, CONTENT):
            return 'Swift ignores If-None-Match: when a layer is pushed again, its old segments stay in the container'
        if self._storage.is_ceph():
            return 'Ceph ignores If-None-Match: the registry looks for an object before it stores a new one'

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
                    'seconds after it was written. Lists of tags would lack new tags for at least as long'
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
        """Get objects from Swift with signed URLs as a client does, without a token: whole, and a range over the border of two segments."""
        url = self._storage.content_redirect_url(self._small)
        if url is None:
            return 'not tried: swift_temp_url_key (SWIFT_TEMP_URL_KEY) is not set. It is optional; REGISTRY_REDIRECT needs it'
        expect(self._fetched(url), CONTENT)
        ends = f'bytes={FIRST_PART}-{FIRST_PART + 4}'
        if self._fetched(self._storage.content_redirect_url(self._large), ends) != CONTENT[:5]:
            raise CheckFailed(f'{self._clients_at(url)} ignores the range of a signed URL. Clients could not go on with a download')
        for changed in (url.replace('temp_url_sig=', 'temp_url_sig=0'), url.replace(self._small, self._large)):
            if self._is_given(changed):
                raise CheckFailed(
                    f'{self._clients_at(url)} does not look at the signature of a URL. Everybody can read swift_container (OS_CONTAINER): '
                    'remove its X-Container-Read, or ask the operators of this Swift to enable temporary URLs (tempurl)'
                )
        return f'clients get layers at {self._clients_at(url)}, each URL is valid for {self._storage.settings.temp_url_ttl} seconds'

    @staticmethod
    def _clients_at(url):
        return '{0.scheme}://{0.netloc}'.format(urlsplit(url))

    def _fetched(self, url, bytes_range=None):
        setting = 'swift_public_url (SWIFT_PUBLIC_URL)'
        setting = f'Check {setting}' if self._storage.settings.public_url else f'If clients need another URL of Swift, set {setting}'
        try:
            return self._open(url, bytes_range)
        except urllib.error.HTTPError as error:
            account = urlsplit(self._storage.storage_url()).path
            raise CheckFailed(
                f'{self._clients_at(url)} returns {error.code} for a signed URL that Swift accepts. {setting}: its path must lead to '
                f'the account, as {account} does at the URL that the registry uses'
            )
        except OSError as error:
            reason = getattr(error, 'reason', error)
            untrusted = isinstance(reason, ssl.SSLCertVerificationError)
            what = 'has a certificate that is not trusted' if untrusted else 'cannot be reached'
            also = '. Clients must trust its CA as well as swift_cacert (OS_CACERT)' if untrusted else ''
            raise CheckFailed(f'{self._clients_at(url)} {what} ({reason}). {setting}{also}')

    def _is_given(self, url):
        try:
            self._open(url)
        except urllib.error.HTTPError:
            return False
        return True

    def _open(self, url, bytes_range=None):
        request = urllib.request.Request(url, headers={'Range': bytes_range} if bytes_range else {})
        with urllib.request.urlopen(request, timeout=15, context=self._tls_context(url)) as answer:
            return answer.read()

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
                raise CheckFailed(f'Swift still has {path} after it was deleted')
        self._has_written = False

    def _remove_large(self):
        """Remove the large object and its segments. The segments are named here, because not every Swift lists those of an object."""
        self._storage.replace(self._large, b'')
        self._storage.remove(self._large)
        self._storage.remove_parts(self._parts)

    def clean_up(self):
        """Remove what a failed or interrupted check has left, as far as Swift allows."""
        for remove in (lambda: self._storage.remove(self._small), self._remove_large) if self._has_written else ():
            try:
                remove()
            except exceptions.UnspecifiedError:
                pass  # the failed step has already reported what is wrong with Swift


def expect(found, wanted):
    if found != wanted:
        raise CheckFailed(f'Swift returned {len(found)} bytes that differ from the {len(wanted)} bytes written')


def main(config, as_json=False):
    """Run all steps, print a line for each, and return the exit status."""
    check = Check(config)
    say = say_json if as_json else say_text
    with storage_settings.quiet():
        try:
            outcomes = set(run(check, say))
        finally:
            check.clean_up()
    return 0 if outcomes == {'ok'} else 1


def run(check, say):
    """Yield the outcome of each step: 'ok', 'failed' or 'skipped'. After a failure the remaining steps are skipped."""
    failed = False
    for name in Check.STEPS:
        started = time.monotonic()
        outcome, remark = ('skipped', '') if failed else attempt(getattr(check, name))
        failed = failed or outcome == 'failed'
        say(name, outcome, time.monotonic() - started, remark)
        yield outcome


def attempt(step):
    """Run a step and return (outcome, remark)."""
    try:
        return 'ok', step() or ''
    except exceptions.FileNotFoundError as error:
        return 'failed', f'{error}, although it was just written. This Swift is not consistent enough, or another container answers'
    except (CheckFailed, exceptions.UnspecifiedError) as error:
        return 'failed', ' '.join(str(error).split())


def say_text(name, outcome, seconds, remark):
    spent = f'{seconds:8.3f} s' if outcome != 'skipped' else ''
    print(f'{name.replace("_", " "):13} {outcome:8}{spent}  {remark}'.rstrip(), flush=True)


def say_json(name, outcome, seconds, remark):
    print(json.dumps({'step': name, 'outcome': outcome, 'seconds': round(seconds, 3), 'remark': remark}), flush=True)
