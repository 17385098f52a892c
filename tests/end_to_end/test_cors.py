"""The page of another site in a real Chromium, which asks for what docker-registry-ui asks for (REGISTRY_CORS_ORIGINS).

https://github.com/Joxit/docker-registry-ui, version 2.6: its requests, the fields that it sends, and those that it reads. No registry of
packages has docker-registry-ui itself.
"""

import contextlib
import hashlib
import html
import itertools
import json
import os
import subprocess
from urllib.parse import quote

import pytest
import requests
import websocket

import conftest
from servers import OnePage, program, wait_until

OPTIONS = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--no-proxy-server']
SECONDS = 60  # for Chromium to start, to answer, or to end
PASSWORD = 'correct horse'
ACCEPTED = (
    'application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json, '
    'application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json'
)
DONE = 'done '
#: The page. STEPS is the body of an async function, whose result becomes the title of the page.
PAGE = """<!DOCTYPE html><html><head><title>asking</title></head><body><script>
const registry = REGISTRY, accepted = ACCEPTED, DONE = 'done ';
function ask(method, path, fields = {}, body = null, secured = false) {
  return new Promise(resolve => {
    const request = new XMLHttpRequest();
    request.withCredentials = secured;
    request.open(method, path.startsWith('http') ? path : registry + path);
    for (const name in fields) request.setRequestHeader(name, fields[name]);
    request.onloadend = () => resolve({status: request.status, text: request.responseText, field: name => request.getResponseHeader(name)});
    request.send(body);
  });
}
async function steps() { STEPS }
steps().catch(error => ({error: String(error)})).then(found => { document.title = DONE + JSON.stringify(found); });
</script></body></html>"""

#: The list of repositories, the tags of one, an image with its configuration, and the delete of it.
BROWSE = """
const found = {};
const catalog = await ask('GET', '/v2/_catalog?n=1000', LOGIN, null, SECURED);
found.catalog = [catalog.status, catalog.text, catalog.field('Link')];
const tags = await ask('GET', '/v2/app/tags/list?n=1', LOGIN, null, SECURED);
found.tags = [tags.status, tags.text, tags.field('Link')];
const fields = {...LOGIN, Accept: accepted, 'Cache-Control': 'no-store, no-cache'};
const manifest = await ask('GET', '/v2/app/manifests/v1', fields, null, SECURED);
found.manifest = [manifest.status, manifest.field('Docker-Content-Digest')];
const config = manifest.status == 200 ? JSON.parse(manifest.text).config.digest : 'sha256:';
const blob = await ask('GET', '/v2/app/blobs/' + config, {...LOGIN, Accept: accepted}, null, SECURED);
found.blob = [blob.status, blob.text];
const gone = await ask('DELETE', '/v2/app/manifests/' + found.manifest[1], {...LOGIN, Accept: accepted}, null, SECURED);
found.deleted = [gone.status];
return found;
"""
NOTHING = {'catalog': [0, '', None], 'tags': [0, '', None], 'manifest': [0, None], 'blob': [0, ''], 'deleted': [0]}


class Site(OnePage):
    """A site with one page. Its host is `localhost`, so for a browser the registry at 127.0.0.1 is another site.

    As `near` it has another origin than the registry, but is the same site, such as ui.example.com and registry.example.com. Only there
    Chromium sends passwords, or asks for them.
    """

    def __init__(self):
        super().__init__()
        self.origin, self.near = 'http://localhost:%d' % self.port, self.url


@pytest.fixture
def site():
    with Site().serving() as server:
        yield server


class Browser:
    """A Chromium that opens one page after the other, and remembers passwords meanwhile."""

    def __init__(self, folder):
        command = ['chromium', *OPTIONS, '--remote-debugging-port=0', '--user-data-dir=%s' % folder, 'about:blank']
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._port_path = os.path.join(folder, 'DevToolsActivePort')

    def _ask(self, method, path):
        port = wait_until(lambda: os.path.exists(self._port_path) and open_text(self._port_path).split(), 'Chromium runs')[0]
        return requests.request(method, 'http://127.0.0.1:%s/json/%s' % (port, path), timeout=SECONDS).json()

    def open(self, url):
        """Open a page, and return a function that returns its title."""
        page = self._ask('PUT', 'new?' + quote(url, safe=':/@%'))['id']
        return lambda: html.unescape(next(found['title'] for found in self._ask('GET', 'list') if found['id'] == page))

    def open_as(self, url, name, password, is_done):
        """Open a page for a user who types a name and a password whenever Chromium asks, until `is_done` of its title. Return the title."""
        page = self._ask('PUT', 'new?about:blank')
        numbers = itertools.count()
        with contextlib.closing(websocket.create_connection(page['webSocketDebuggerUrl'], SECONDS, suppress_origin=True)) as tools:

            def tell(method, **parameters):
                tools.send(json.dumps({'id': next(numbers), 'method': method, 'params': parameters}))

            tell('Fetch.enable', handleAuthRequests=True)
            tell('Page.navigate', url=url)
            tools.settimeout(0.1)
            typed = {'response': 'ProvideCredentials', 'username': name, 'password': password}

            def look():
                with contextlib.suppress(websocket.WebSocketTimeoutException):
                    message = json.loads(tools.recv())
                    request = message.get('params', {}).get('requestId')
                    if message.get('method') == 'Fetch.authRequired':
                        tell('Fetch.continueWithAuth', requestId=request, authChallengeResponse=typed)
                    elif message.get('method') == 'Fetch.requestPaused':
                        tell('Fetch.continueRequest', requestId=request)
                found = next(found['title'] for found in self._ask('GET', 'list') if found['id'] == page['id'])
                return is_done(html.unescape(found)) and html.unescape(found)

            return wait_until(look, 'the page of %s is done' % url)


def open_text(path):
    with open(path) as file:
        return file.read()


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    """One for all tests: each has a site and a registry with ports of their own, so it knows no password of another test."""
    conftest.need('chromium')
    browser = Browser(str(tmp_path_factory.mktemp('chromium') / 'profile'))
    yield browser
    browser.process.terminate()
    browser.process.wait(SECONDS)


def is_done(title):
    return title.startswith(DONE)


@pytest.fixture
def play(site, browser):
    """A function that plays the steps of a page of the site in Chromium, and returns what the page saw."""

    def play(registry, steps, *user):
        site.page = PAGE.replace('REGISTRY', json.dumps(registry.url)).replace('ACCEPTED', json.dumps(ACCEPTED)).replace('STEPS', steps)
        if user:
            return json.loads(browser.open_as(site.near + '/', *user, is_done).removeprefix(DONE))
        title = browser.open(site.origin + '/')
        return json.loads(wait_until(lambda: is_done(title()) and title(), 'the page has asked').removeprefix(DONE))

    return play


def browse(login='{}', secured='false'):
    return BROWSE.replace('LOGIN', login).replace('SECURED', secured)


def push(registry, **more):
    """Push app:v1 and app:v2, and return the digest of the manifest."""

    def blob(content):
        answer = requests.post(registry.url + '/v2/app/blobs/uploads/', timeout=SECONDS, **more)
        digest = 'sha256:' + hashlib.sha256(content).hexdigest()
        location = requests.compat.urljoin(registry.url, answer.headers['Location'])
        assert requests.put(location, params={'digest': digest}, data=content, timeout=SECONDS, **more).status_code == 201
        return {'digest': digest, 'size': len(content)}

    kind = 'application/vnd.oci.image.'
    manifest = {
        'schemaVersion': 2,
        'mediaType': kind + 'manifest.v1+json',
        'config': {'mediaType': kind + 'config.v1+json', **blob(b'{"created":"2026-01-01T00:00:00Z"}')},
        'layers': [{'mediaType': kind + 'layer.v1.tar+gzip', **blob(b'a layer')}],
    }
    for tag in ('v1', 'v2'):
        answer = requests.put(
            '%s/v2/app/manifests/%s' % (registry.url, tag),
            data=json.dumps(manifest),
            headers={'Content-Type': manifest['mediaType']},
            timeout=SECONDS,
            **more,
        )
        assert answer.status_code == 201
    return answer.headers['Docker-Content-Digest']


def everything(digest, deleted=202):
    """What a page sees that may do all of `BROWSE`."""
    return {
        'catalog': [200, '{"repositories": ["app"]}', None],
        'tags': [200, '{"name": "app", "tags": ["v1"]}', '</v2/app/tags/list?last=v1&n=1>; rel="next"'],
        'manifest': [200, digest],
        'blob': [200, '{"created":"2026-01-01T00:00:00Z"}'],
        'deleted': [deleted],
    }


@pytest.fixture
def users(tmp_path):
    path = tmp_path / 'htpasswd'
    done = subprocess.run([program('registry-swift'), 'htpasswd', '--cost', '4', 'alice'], input=PASSWORD, capture_output=True, text=True)
    path.write_text(done.stdout)
    path.chmod(0o644)
    return str(path)


def test_without_the_setting_the_page_of_another_site_sees_nothing(place, play):
    registry = place.registry()
    push(registry)

    assert play(registry, browse()) == NOTHING


def test_a_site_with_a_name_browses_and_deletes(place, site, play):
    registry = place.registry(REGISTRY_CORS_ORIGINS='https://other.example.com, ' + site.origin)
    digest = push(registry)

    assert play(registry, browse(secured='true')) == everything(digest)


def test_pages_of_all_sites_browse_and_delete_nothing(place, play):
    registry = place.registry(REGISTRY_CORS_ORIGINS='*')
    digest = push(registry)

    assert play(registry, browse()) == everything(digest, deleted=0)
    assert play(registry, browse(secured='true')) == NOTHING


def test_a_page_that_asks_its_user_for_a_password_logs_in(place, site, play, users):
    registry = place.registry(REGISTRY_CORS_ORIGINS=site.origin, REGISTRY_HTPASSWD=users)
    digest = push(registry, auth=('alice', PASSWORD))

    login = json.dumps({'Authorization': requests.auth._basic_auth_str('alice', PASSWORD)})
    assert play(registry, browse(login, 'true')) == everything(digest)


def test_a_page_gets_tokens(place, site, play, users):
    """It reads from the challenge where to get a token, by an expression that needs the parts in this order."""
    registry = place.registry(REGISTRY_CORS_ORIGINS=site.origin, REGISTRY_HTPASSWD=users, REGISTRY_BEARER_TOKENS='true')
    digest = push(registry, auth=('alice', PASSWORD))

    steps = """
    const refused = await ask('DELETE', '/v2/app/manifests/%s', {Accept: accepted});
    const challenge = /Bearer realm="([^"]+)",service="([^"]+)",scope="([^"]+)"/.exec(refused.field('WWW-Authenticate'));
    const answer = await ask('GET', `${challenge[1]}?service=${challenge[2]}&scope=${challenge[3]}`, {Authorization: %s}, null, true);
    const token = JSON.parse(answer.text).token;
    const gone = await ask('DELETE', '/v2/app/manifests/%s', {Accept: accepted, Authorization: `Bearer ${token}`});
    return [refused.status, answer.status, gone.status];
    """ % (digest, json.dumps(requests.auth._basic_auth_str('alice', PASSWORD)), digest)
    assert play(registry, steps) == [401, 200, 202]


@pytest.mark.parametrize('tokens', ['true', 'false'])
def test_chromium_asks_its_user_for_the_password(place, site, play, users, tokens):
    """docker-registry-ui leaves that to the browser (REGISTRY_SECURED=true), also if it has to get a token."""
    registry = place.registry(REGISTRY_CORS_ORIGINS=site.near, REGISTRY_HTPASSWD=users, REGISTRY_BEARER_TOKENS=tokens)
    push(registry, auth=('alice', PASSWORD))

    steps = """
    const first = await ask('GET', '/v2/_catalog', {}, null, true);
    const challenge = /Bearer realm="([^"]+)",service="([^"]+)",scope="([^"]+)"/.exec(first.field('WWW-Authenticate') || '');
    if (!challenge) return first.text;
    const answer = await ask('GET', `${challenge[1]}?service=${challenge[2]}&scope=${challenge[3]}`, {}, null, true);
    const token = JSON.parse(answer.text).token;
    return (await ask('GET', '/v2/_catalog', {Authorization: `Bearer ${token}`})).text;
    """
    assert play(registry, steps, 'alice', PASSWORD) == '{"repositories": ["app"]}'
    wait_until(lambda: 'user=alice' in registry.log, 'it is logged')


def test_a_page_pushes_a_blob_in_chunks(place, site, play):
    registry = place.registry(REGISTRY_CORS_ORIGINS=site.origin)

    steps = """
    const begun = await ask('POST', '/v2/app/blobs/uploads/');
    const sent = await ask('PATCH', begun.field('Location'), {'Content-Type': 'application/octet-stream', 'Content-Range': '0-4'}, 'hello');
    const digest = 'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824';
    const done = await ask('PUT', sent.field('Location') + '?digest=' + digest);
    return [begun.status, sent.status, sent.field('Range'), done.status, done.field('Docker-Content-Digest') == digest];
    """
    assert play(registry, steps) == [202, 202, '0-4', 201, True]


# The password that the browser knows

ASK_TWICE = """<!DOCTYPE html><title>asking</title><script>
(async () => {
  const statuses = [];
  for (const credentials of ['include', 'omit']) {
    const answer = await fetch('%s/v2/_catalog', {credentials}).catch(() => ({status: 0}));
    statuses.push(answer.status);
  }
  document.title = JSON.stringify(statuses);
})();
</script>"""


@pytest.mark.parametrize('named, statuses', [(True, '[200,401]'), (False, '[0,0]')], ids=['named', 'others'])
def test_a_site_with_a_name_may_use_the_password_that_the_browser_knows(place, site, browser, users, named, statuses):
    registry = place.registry(REGISTRY_CORS_ORIGINS=site.near if named else 'https://other.example.com', REGISTRY_HTPASSWD=users)
    browser.open(registry.url.replace('://', '://alice:%s@' % quote(PASSWORD)) + '/v2/')
    wait_until(lambda: 'GET /v2/ 200' in registry.log, 'the browser has logged in')

    site.page = ASK_TWICE % registry.url
    title = browser.open(site.near + '/')

    assert wait_until(lambda: title().startswith('[') and title(), 'the page has asked') == statuses
