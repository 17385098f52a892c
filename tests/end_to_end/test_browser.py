"""What clients have stored, opened in a real Chromium: no script of it runs, so nobody can attack the users of other pages of the host."""

import contextlib
import hashlib
import subprocess

import pytest
import requests
from swiftclient.client import Connection

import conftest
from servers import OnePage, wait_until

SECONDS = 90  # for Chromium to start, load a page and end; it needs two or three
DOWNLOAD_SECONDS = 9  # for it to do whatever it may do with what it downloads


class Listener(OnePage):
    """A site that notes which scripts have run."""

    def __init__(self):
        super().__init__()
        self.page = '<!DOCTYPE html><html><body><script>%s</script></body></html>' % self.script('page')

    def script(self, name):
        """Return a script that reports to this server, by a request and by an image."""
        return "new Image().src='%s/ran-%s';fetch('%s/ran-%s')" % (self.url, name, self.url, name)

    @property
    def ran(self):
        """The names of the scripts that have run."""
        return {path.removeprefix('/ran-') for path in self.asked if path.startswith('/ran-')}


@pytest.fixture
def listener():
    with Listener().serving() as server:
        yield server


@pytest.fixture
def browse(tmp_path):
    """A function that opens a URL in Chromium, lets its scripts run, and returns the document.

    With `is_served`, a function, it returns nothing, some seconds after that is true, or as soon as Chromium ends.
    """
    conftest.need('chromium')

    def browse(url, is_served=None):
        options = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--no-proxy-server']
        command = ['chromium', *options, '--user-data-dir=%s' % tmp_path, '--virtual-time-budget=3000', '--timeout=5000', '--dump-dom', url]
        if not is_served:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors='replace', timeout=SECONDS)
            return done.stdout
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                wait_until(is_served, 'Chromium is served', SECONDS)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(DOWNLOAD_SECONDS)
            finally:
                process.kill()

    return browse


def digest_of(content):
    return 'sha256:' + hashlib.sha256(content).hexdigest()


def store(place, path, content):
    """Write an object as CNCF distribution would."""
    with contextlib.closing(Connection(place.swift.auth_url, place.swift.user, place.swift.key)) as swift:
        swift.put_object(place.container, 'files/docker/registry/v2/' + path, content)


def test_a_page_without_the_fields_of_the_registry_runs_its_script(listener, browse):
    browse(listener.url + '/page')

    assert listener.ran == {'page'}


def test_no_script_of_a_blob_runs(registry, listener, browse):
    page = listener.page.encode()
    digest = digest_of(page)
    pushed = requests.post(registry.url + '/v2/a/blobs/uploads/', params={'digest': digest}, data=page, timeout=SECONDS)
    assert pushed.status_code == 201

    # Chromium takes the blob for a download, and may then wait for a page for ever.
    browse('%s/v2/a/blobs/%s' % (registry.url, digest), lambda: 'GET /v2/a/blobs/%s 200' % digest in registry.log)

    assert listener.ran == set()


def test_no_script_of_a_manifest_runs_that_another_registry_stored_as_a_page(place, registry, listener, browse):
    """Its media type is one of an application, so the registry serves it with that. Chromium takes it for a page."""
    page = '<html xmlns="http://www.w3.org/1999/xhtml"><body><script>%s</script></body></html>' % listener.script('manifest')
    digest = digest_of(page.encode())
    digits = digest.removeprefix('sha256:')
    store(place, 'blobs/sha256/%s/%s/data' % (digits[:2], digits), page.encode())
    store(place, 'repositories/a/_manifests/revisions/sha256/%s/link' % digits, digest.encode())
    store(place, 'repositories/a/_manifests/revisions/sha256/%s/mediatype' % digits, b'application/xhtml+xml')
    url = '%s/v2/a/manifests/%s' % (registry.url, digest)
    served = requests.get(url, timeout=SECONDS)
    assert (served.status_code, served.headers['Content-Type'].partition(';')[0], served.text) == (200, 'application/xhtml+xml', page)

    document = browse(url)

    assert '<script>' in document, 'Chromium did not take the manifest for a page'
    assert listener.ran == set()
