"""The page and those who mean it ill: hostile images, other sites, strangers."""

import re

import pytest

from access_client import basic, replace
from docker_registry.v2.access import htpasswd
from docker_registry.v2.http.page import images
from docker_registry.v2.registry import formats, layout, names
from docker_registry.v2.settings.config import Access
from registry_client import as_json, code_of, descriptor, digest_of, image

ATTACKS = [
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '{{ 7 * 7 }}',
    '\x00\u202e',
    '\ud800',
    'javascript:alert(1)',
]
ANYTHING = [None, True, 0, -1, 1e300, 10**30, '', 'x' * 100_000, [], {}, [[]], [None], {'': None}, [{}], [{'digest': 5}], {'a': {'b': []}}]
PAGES = ('/ui/', '/ui/a/tags', '/ui/a/manifests/v1', '/ui/nothing/tags', '/ui/_static/page.js')
OWN = {'Sec-Fetch-Site': 'same-origin'}


def push_with(registry, config, **more):
    for content in (config, b'layer'):
        registry.push_blob('a', content)
    return registry.push_manifest('a', 'v1', image(config, b'layer', **more))


@pytest.fixture
def deleting(fake_place):
    registry = fake_place.registry(Access(ui_delete=True))
    registry.push_image('a', 'v1', b'layer')
    return registry


# Hostile images


@pytest.mark.parametrize('attack', ATTACKS)
def test_what_an_image_says_is_text(fake_registry, attack):
    run = {'Labels': {attack: attack}, 'Env': [attack], 'Entrypoint': [attack], 'Cmd': attack, 'User': attack, 'ExposedPorts': {attack: {}}}
    config = {'os': attack, 'architecture': attack, 'author': attack, 'config': run, 'history': [{'created_by': attack}]}
    push_with(fake_registry, as_json(config), annotations={attack: attack}, artifactType='application/x')

    for path in ('/ui/a/tags', '/ui/a/manifests/v1'):
        page = fake_registry('GET', path).text
        assert not re.search(r'<script(?! src="/ui/_static/page\.js)|<img|<[^>]*\son[a-z]+=|href="javascript:|\b49\b', page)


@pytest.mark.parametrize('letter', ['\x00', '\x1b', '\u202e', '\u2066', '\u200b', '\ud800', '\U000e0041'], ids=ascii)
def test_what_one_cannot_see_or_turns_letters_around_is_visible(fake_registry, letter):
    said = f'ab{letter}cd'
    run = {'Labels': {said: said}, 'Env': [said], 'Cmd': [said], 'ExposedPorts': {said: {}}}
    push_with(fake_registry, as_json({'os': said, 'author': said, 'config': run}), annotations={said: said})

    for path in ('/ui/a/tags/', '/ui/a/manifests/v1'):
        page = fake_registry('GET', path)
        assert page.status_code == 200 and letter not in page.text
    assert page.text.count('ab' + ascii(letter)[1:-1] + 'cd') >= 6


@pytest.mark.parametrize(
    'count, text',
    [(2000, 'There are 1500 more'), (2000, 'The rest is too long for this page'), (10_000, 'The page shows only its beginning')],
)
def test_an_index_of_thousands_is_cut(fake_registry, count, text):
    entries = [descriptor(b'%d' % number, formats.OCI_IMAGE, platform={'os': 'linux', 'architecture': 'a'}) for number in range(count)]
    content = as_json({'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': entries})
    digest = names.digest(digest_of(content))
    for path in (layout.revision_link('a', digest), layout.tag_current('a', 'v1')):
        fake_registry.storage.put_content(path, str(digest).encode())  # as another registry may have written it
    fake_registry.storage.put_content(layout.blob(digest), content)

    assert text in fake_registry('GET', '/ui/a/manifests/v1').text
    assert fake_registry('GET', '/ui/a/tags/').status_code == 200


@pytest.mark.parametrize('anything', ANYTHING, ids=lambda value: repr(value)[:20])
def test_an_image_may_say_anything(fake_registry, anything):
    keys = ('os', 'architecture', 'variant', 'author', 'created', 'history', 'config', 'rootfs')
    run = dict.fromkeys(('Env', 'Labels', 'Entrypoint', 'Cmd', 'User', 'WorkingDir', 'ExposedPorts', 'Volumes', 'StopSignal'), anything)
    for config in (anything, dict.fromkeys(keys, anything), {'config': run, 'history': [anything, {'created_by': anything}]}):
        push_with(fake_registry, as_json(config))

        assert fake_registry('GET', '/ui/a/manifests/v1').status_code == 200
        assert fake_registry('GET', '/ui/a/tags').status_code == 200


@pytest.mark.parametrize('anything', ANYTHING, ids=lambda value: repr(value)[:20])
def test_a_manifest_of_another_registry_may_say_anything(anything):
    keys = ('config', 'layers', 'manifests', 'annotations', 'subject', 'mediaType', 'digest', 'size', 'platform', 'artifactType')
    document = images.load(as_json(dict.fromkeys(keys, anything)))

    images.size_of(document), images.config_of(document), images.entries(document), images.entry_of(document)
    images.layers(document, document), images.facts(document), images.labels(document), images.pairs(anything)


@pytest.mark.parametrize(
    'content', [b'', b'\xff\xfe', b'[' * 100_000, b'{"a":' * 100_000, b'[1' + b',1' * 60_000 + b']', b'1' * 10_000, b'NaN']
)
def test_a_configuration_that_is_none_is_shown_as_it_is(fake_registry, content):
    push_with(fake_registry, content or b' ')

    assert fake_registry('GET', '/ui/a/manifests/v1').status_code == 200
    assert images.load(content) == {}
    assert isinstance(images.pretty(content, 100), str)


def test_an_image_may_say_what_is_no_text(fake_registry):
    """Half of a pair of surrogates, which JSON can write and UTF-8 cannot."""
    half = '\ud800'
    config = as_json({'os': half, 'config': {'Labels': {half: half}, 'Cmd': half}, 'history': [{'created_by': half}]})
    push_with(fake_registry, config, annotations={half: half})

    for path in ('/ui/a/tags', '/ui/a/manifests/v1'):
        assert fake_registry('GET', path).status_code == 200


def test_a_name_in_the_url_is_text(fake_registry):
    for path in (
        '/ui/<script>/tags',
        '/ui/a/manifests/<script>',
        '/ui/?q=<script>',
        '/ui/?after=<script>',
        '/ui/a/tags?q=<script>&deleted=<script>',
    ):
        assert '<script>' not in fake_registry('GET', path).text


def test_a_host_that_is_none_is_not_in_the_commands(fake_registry):
    push_with(fake_registry, b'{}')

    page = fake_registry('GET', '/ui/a/manifests/v1', headers={'Host': 'x;reboot'}).text

    assert 'reboot' not in page
    assert 'docker pull REGISTRY/a:v1' in page


# What browsers are told


@pytest.mark.parametrize('path', PAGES)
def test_every_page_forbids_what_it_does_not_need(fake_registry, path):
    fake_registry.push_image('a', 'v1', b'layer')

    fields = fake_registry('GET', path).headers

    assert fields['Content-Security-Policy'] == (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    assert fields['X-Content-Type-Options'] == 'nosniff'
    assert fields['Referrer-Policy'] == 'same-origin'


def test_no_page_has_a_script_or_a_style_of_its_own(fake_registry):
    push_with(fake_registry, b'{}')

    for path in PAGES[:-1]:
        page = fake_registry('GET', path).text
        assert not re.search(r'<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=', page)


def test_the_api_forbids_browsers_everything_as_ever(fake_registry):
    assert fake_registry('GET', '/v2/').headers['Content-Security-Policy'] == "sandbox; default-src 'none'"


# Deletes


def test_the_form_of_the_page_deletes_a_tag(deleting):
    answer = deleting('POST', '/ui/a/delete/?tag=v1', headers=OWN)

    assert (answer.status_code, answer.headers['Location']) == (303, '/ui/a/tags/?deleted=v1')
    assert deleting('GET', '/v2/a/manifests/v1').status_code == 404


@pytest.mark.parametrize(
    'sent',
    [
        {},
        {'Sec-Fetch-Site': 'cross-site'},
        {'Sec-Fetch-Site': 'same-site'},
        {'Sec-Fetch-Site': 'none'},
        {'Sec-Fetch-Site': 'cross-site', 'Origin': 'http://localhost'},
        {'Origin': 'https://evil.example'},
        {'Origin': 'null'},
        {'Origin': 'http://[broken'},
    ],
)
def test_a_form_of_another_site_deletes_nothing(deleting, sent):
    assert deleting('POST', '/ui/a/delete/?tag=v1', headers=sent).status_code == 403
    assert deleting('GET', '/v2/a/manifests/v1').status_code == 200


def test_an_older_browser_names_the_origin(deleting):
    assert deleting('POST', '/ui/a/delete/?tag=v1', headers={'Origin': 'http://localhost'}).status_code == 303


def test_no_link_deletes_anything(deleting):
    for path in ('/ui/a/delete/?tag=v1', '/ui/a/delete/?tag=v1&confirm=1', '/ui/a/tags/?deleted=v1'):
        deleting('GET', path, headers=OWN)

    assert deleting('GET', '/v2/a/manifests/v1').status_code == 200


def test_a_delete_names_the_other_tags_of_the_image(deleting):
    deleting.push_image('a', 'same', b'layer')
    deleting.push_image('a', 'other', b'another')

    page = deleting('GET', '/ui/a/delete/?tag=v1').text

    assert 'href="/ui/a/manifests/same"' in page and 'href="/ui/a/manifests/other"' not in page
    assert 'No other tag' in deleting('GET', '/ui/a/delete/?tag=other').text


def test_the_operator_has_to_allow_deletes(fake_registry):
    fake_registry.push_image('a', 'v1', b'layer')

    assert '/delete/' not in fake_registry('GET', '/ui/a/manifests/v1').text
    for method in ('GET', 'POST'):
        assert fake_registry(method, '/ui/a/delete/?tag=v1', headers=OWN).status_code == 403


def test_a_read_only_registry_deletes_nothing(fake_place, deleting):
    registry = fake_place.registry(Access(ui_delete=True, read_only=True))

    assert '/delete/' not in registry('GET', '/ui/a/manifests/v1').text
    for method in ('GET', 'POST'):
        assert registry(method, '/ui/a/delete/?tag=v1', headers=OWN).status_code == 405


def test_a_rule_for_a_tag_counts_on_the_page(fake_place, tmp_path):
    (tmp_path / 'htpasswd').write_bytes(b'alice:%b\n' % htpasswd.make(b'secret', 4))
    replace(str(tmp_path / 'rules'), b'allow alice pull,push,delete **\ndeny alice delete a:v*\n')
    fake_place.registry().push_image('a', 'v1', b'layer')
    fake_place.registry().push_image('a', 'latest', b'layer')
    registry = fake_place.registry(Access(htpasswd=str(tmp_path / 'htpasswd'), rules=str(tmp_path / 'rules'), ui_delete=True))
    sent = basic('alice', 'secret') | OWN

    assert '/delete/' not in registry('GET', '/ui/a/manifests/v1', headers=sent).text
    assert '/ui/a/delete/?tag=latest' in registry('GET', '/ui/a/manifests/latest', headers=sent).text
    assert registry('POST', '/ui/a/delete/?tag=v1', headers=sent).status_code == 403
    assert registry('POST', '/ui/a/delete/?tag=latest', headers=sent).status_code == 303


def test_a_repository_that_is_not_there_has_lost_no_tag(deleting):
    assert deleting('GET', '/ui/nowhere/tags?deleted=v1').status_code == 404


def test_a_repository_may_have_lost_its_last_tag(deleting):
    after = deleting('POST', '/ui/a/delete/?tag=v1', headers=OWN).headers['Location']

    assert 'The tag <strong>v1</strong> is deleted' in deleting('GET', after).text


def test_a_delete_is_in_the_audit_log(deleting, caplog):
    caplog.set_level('INFO')

    deleting('POST', '/ui/a/delete/?tag=v1', headers=OWN)

    assert [message for message in caplog.messages if message.startswith('delete ') and 'repository=a tag=v1' in message]


# Who sees what


@pytest.fixture
def ruled(fake_place, tmp_path):
    (tmp_path / 'htpasswd').write_bytes(b'alice:%b\nbob:%b\n' % ((htpasswd.make(b'secret', 4),) * 2))
    replace(str(tmp_path / 'rules'), b'allow everybody pull public/**\nallow alice pull team/**\n')
    whole = fake_place.registry()
    for name in ('public/app', 'team/app', 'other/app'):
        whole.push_image(name, 'v1', b'layer')
    return fake_place.registry(Access(htpasswd=str(tmp_path / 'htpasswd'), rules=str(tmp_path / 'rules')))


def test_the_tree_has_what_one_may_see(ruled):
    def shown(**headers):
        return re.findall('href="/ui/([^"]+)/tags/"', ruled('GET', '/ui/', **headers).text)

    assert shown() == ['public/app']
    assert shown(headers=basic('alice', 'secret')) == ['public/app', 'team/app']
    assert shown(headers=basic('bob', 'secret')) == ['public/app']


def test_who_is_not_logged_in_can_log_in(ruled):
    assert 'href="/ui/_login"' in ruled('GET', '/ui/').text
    assert ruled('GET', '/ui/_login').headers['WWW-Authenticate'] == 'Basic realm="registry"'

    answer = ruled('GET', '/ui/_login', headers=basic('alice', 'secret'))

    assert (answer.status_code, answer.headers['Location']) == (303, '/ui/')
    assert 'alice' in ruled('GET', '/ui/', headers=basic('alice', 'secret')).text


@pytest.mark.parametrize('path', ['/ui', '/ui/', '/ui/_login'])
def test_a_browser_is_asked_for_a_password(fake_place, tmp_path, path):
    (tmp_path / 'htpasswd').write_bytes(b'alice:%b\n' % htpasswd.make(b'secret', 4))
    registry = fake_place.registry(Access(htpasswd=str(tmp_path / 'htpasswd'), bearer_tokens=True))

    assert registry('GET', path).headers['WWW-Authenticate'] == 'Basic realm="registry"'


def test_the_api_challenges_as_ever(ruled):
    answer = ruled('GET', '/v2/team/app/tags/list')

    assert code_of(answer) == 'UNAUTHORIZED'
    assert answer.headers['WWW-Authenticate'].startswith('Bearer ')


def test_an_image_shows_no_configuration_of_another_repository(fake_place):
    registry = fake_place.registry(sparse_manifests=True)
    secret = as_json({'os': 'secretos', 'architecture': 'hidden'})
    registry.push_blob('private', secret)
    registry.push_manifest('a', 'v1', image(secret))
    entry = descriptor(as_json(image(secret)), formats.OCI_IMAGE)
    registry.push_manifest('a', 'v2', {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': [entry]}, formats.OCI_INDEX)

    for path in ('tags', 'tags', 'manifests/v1', 'manifests/v2'):
        assert 'secretos' not in registry('GET', f'/ui/a/{path}').text
