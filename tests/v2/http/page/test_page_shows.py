"""What the page shows, without a browser."""

import json
import pathlib
import re

import pytest

from docker_registry.drivers.swift import __url__, __version__
from docker_registry.v2.http.page import words
from docker_registry.v2.http.page.tree import grow
from docker_registry.v2.registry import formats
from docker_registry.v2.settings.config import Access
from registry_client import as_json, descriptor, digest_of, image

HTML = {'Accept': 'text/html,application/xhtml+xml,*/*;q=0.8'}
CONFIG = as_json(
    {
        'architecture': 'arm64',
        'os': 'linux',
        'config': {'Env': ['PATH=/bin'], 'Entrypoint': ['/start', '--now'], 'Labels': {'maintainer': 'alice'}},
        'history': [
            {'created_by': '/bin/sh -c #(nop) ADD file:x in / '},
            {'created_by': 'ENV A=b', 'empty_layer': True},
            {'created_by': 'RUN /bin/sh -c make # buildkit'},
        ],
    }
)


@pytest.fixture
def registry(fake_registry):
    return fake_registry


def text_of(answer):
    """Return the text of a page, with one space for everything between."""
    return re.sub(r'\s+', ' ', re.sub(r'<[^>]*>', ' ', answer.text))


def tags_on(answer):
    return re.findall(r'<tr data-name="([^"]*)"', answer.text)


def push_configured(registry, repository, tag, **more):
    for content in (CONFIG, b'first', b'second'):
        registry.push_blob(repository, content)
    return registry.push_manifest(repository, tag, image(CONFIG, b'first', b'second', **more))


def test_a_browser_is_led_to_the_page(registry):
    answer = registry('GET', '/', headers=HTML)

    assert (answer.status_code, answer.headers['Location'], answer.headers['Vary']) == (303, '/ui/', 'Accept')


@pytest.mark.parametrize('accept', [None, '*/*', 'application/json', 'application/json, text/html'])
def test_other_clients_are_told_what_this_is(registry, accept):
    answer = registry('GET', '/', headers={'Accept': accept} if accept else {})

    assert answer.json.items() >= {'name': 'docker-registry-driver-swift', 'version': __version__, 'api': '/v2/', 'page': '/ui/'}.items()
    assert answer.json['documentation'] == __url__
    assert not registry.swift_requests


def test_without_the_page_there_is_none(fake_place):
    registry = fake_place.registry(Access(ui=False))
    registry.push_image('a', 'v1', b'layer')

    assert 'page' not in registry('GET', '/', headers=HTML).json
    for path in ('/ui/', '/ui/a/tags', '/ui/_static/page.css', '/ui/_login'):
        assert registry('GET', path, headers=HTML).status_code == 404
        assert registry('GET', path, headers=HTML).content_type == 'application/json'


def test_the_slash_at_the_end_may_be_missing(registry):
    registry.push_image('a', 'v1', b'layer')

    for path in ('/ui', '/ui/a/tags'):
        assert registry('GET', path).data == registry('GET', path + '/').data


def test_repositories_are_a_tree(registry):
    for name in ('team/app', 'team/app/extra', 'alone', 'deep/er/only'):
        registry.push_image(name, 'v1', b'layer')

    answer = registry('GET', '/ui/')

    assert set(re.findall('href="/ui/([^"]+)/tags/"', answer.text)) == {'team/app', 'team/app/extra', 'alone', 'deep/er/only'}
    assert '4 repositories' in text_of(answer)
    assert [(node.label, node.count) for node in grow(['deep/er/only', 'team/app', 'team/web'])] == [('team', 2), ('deep/er/only', 0)]


def test_repositories_are_filtered_on_the_server(registry):
    for name in ('team/app', 'team/web'):
        registry.push_image(name, 'v1', b'layer')

    answer = registry('GET', '/ui/?q=WE')

    assert re.findall('href="/ui/([^"]+)/tags/"', answer.text) == ['team/web']
    assert 'has zzz in its name' in text_of(registry('GET', '/ui/?q=zzz'))


def test_an_empty_registry_says_what_to_do(registry):
    assert 'There is nothing here yet' in text_of(registry('GET', '/ui/'))


def test_tags_come_in_natural_order(registry):
    for tag in ('1.9', '1.10', '1.2', 'latest'):
        registry.push_image('a', tag, b'layer')

    assert tags_on(registry('GET', '/ui/a/tags?sort=name')) == ['1.10', '1.9', '1.2', 'latest']
    assert tags_on(registry('GET', '/ui/a/tags?q=1.1')) == ['1.10']
    assert words.natural('v1.9') < words.natural('v1.10')
    assert words.natural('²') < words.natural('³')  # other programs may have stored any name, and these are digits that are no numbers


def test_the_newest_tag_comes_first(fake_place):
    registry = fake_place.registry()
    for age, tag in enumerate(('b-oldest', 'c-older', 'a-newest')):
        registry.push_image('a', tag, tag.encode())
        fake_place.objects[f'docker/registry/v2/repositories/a/_manifests/tags/{tag}/current/link'].timestamp += age * 60

    assert tags_on(registry('GET', '/ui/a/tags')) == ['a-newest', 'c-older', 'b-oldest']


def test_a_tag_has_its_size_platform_and_digest(registry):
    digest = push_configured(registry, 'a', 'v1')

    answer = registry('GET', '/ui/a/tags')

    assert f'{len(CONFIG) + len(b"firstsecond")} B linux/arm64 just now {digest[7:19]}' in text_of(answer)
    assert f'title="{digest}"' in answer.text


def test_an_index_has_its_platforms_and_the_size_of_the_first(registry):
    child = push_configured(registry, 'a', 'child')
    size = len(registry('GET', '/v2/a/manifests/child').data)
    entry = {'mediaType': formats.OCI_IMAGE, 'digest': child, 'size': size, 'platform': {'os': 'linux', 'architecture': 'arm64'}}
    index = {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': [entry]}
    registry.push_manifest('a', 'v1', index, formats.OCI_INDEX)

    assert 'v1 %d B linux/arm64' % (len(CONFIG) + 11) in text_of(registry('GET', '/ui/a/tags'))
    answer = registry('GET', '/ui/a/manifests/v1')
    assert f'href="/ui/a/manifests/{child}"' in answer.text


def test_many_tags_are_on_several_pages(registry):
    manifest = registry.push_image('a', 'v0', b'layer') and registry('GET', '/v2/a/manifests/v0').data
    for number in range(1, 30):
        registry.push_manifest('a', f'v{number}', manifest)

    first, second = registry('GET', '/ui/a/tags?sort=name'), registry('GET', '/ui/a/tags?sort=name&page=2')

    assert tags_on(first) + tags_on(second) == [f'v{number}' for number in range(29, -1, -1)]
    assert 'Page 1 of 2' in text_of(first)
    for wrong in ('page=0', 'page=99', 'page=x', 'sort=x', 'page=99999999999999'):
        assert registry('GET', f'/ui/a/tags?{wrong}').status_code == 200


def test_tags_of_signatures_are_hidden(registry):
    digest = registry.push_image('a', 'v1', b'layer')
    registry.push_image('a', digest.replace(':', '-') + '.sig', b'layer')

    assert tags_on(registry('GET', '/ui/a/tags')) == ['v1']
    assert len(tags_on(registry('GET', '/ui/a/tags?artifacts=1'))) == 2


def test_an_image_has_layers_with_their_commands(registry):
    push_configured(registry, 'a', 'v1')

    text = text_of(registry('GET', '/ui/a/manifests/v1'))

    assert 'ADD file:x in / 5 B ENV A=b no layer RUN make 6 B' in text
    assert 'PATH=/bin' in text and 'maintainer alice' in text and '[&#34;/start&#34;, &#34;--now&#34;]' in text


@pytest.mark.parametrize('by', ['tag', 'digest'])
def test_the_commands_pull_the_image(registry, by):
    digest = push_configured(registry, 'team/app', 'v1')
    reference, place = ('v1', 'team/app:v1') if by == 'tag' else (digest, f'team/app@{digest}')

    answer = registry('GET', f'/ui/team/app/manifests/{reference}', headers={'Host': 'registry.example:5000'})

    assert f'data-copy="docker pull registry.example:5000/{place}"' in answer.text
    assert f'data-copy="podman pull --tls-verify=false registry.example:5000/{place}"' in answer.text
    assert f'docker pull registry.example:5000/team/app@{digest}' in answer.text


def test_referrers_are_on_the_page_of_their_subject(registry):
    digest = push_configured(registry, 'a', 'v1')
    subject = descriptor(registry('GET', '/v2/a/manifests/v1').data, formats.OCI_IMAGE)
    registry.push_image('a', 'signature', b'bytes', subject=subject, artifactType='application/vnd.example.signature')

    assert 'application/vnd.example.signature' in registry('GET', f'/ui/a/manifests/{digest}').text


@pytest.mark.parametrize('path', ['nothing/tags', 'a/manifests/nothing', f'a/manifests/{digest_of(b"")}', 'a/manifests/-x', 'A/tags', 'x'])
def test_what_is_not_there_is_a_page_that_says_so(registry, path):
    registry.push_image('a', 'v1', b'layer')

    answer = registry('GET', f'/ui/{path}')

    assert answer.status_code == (400 if path == 'A/tags' else 404)
    assert answer.content_type == 'text/html; charset=utf-8'
    assert '<h1>' in answer.text


def test_swift_that_fails_is_a_page_that_says_so(fake, fake_place):
    fake_place.add(swift_retries=0, swift_connect_timeout=1)
    registry = fake_place.registry()
    fake.refuse_connections()  # and keep the port, which another test could get
    answer = registry('GET', '/ui/')

    assert answer.status_code == 503
    assert 'Storage is unavailable' in text_of(answer)


def test_the_files_of_the_page_may_be_kept(registry):
    page = registry('GET', '/ui/').text

    for url in re.findall(r'(?:href|src)="(/ui/_static/[^"]+)"', page):
        answer = registry('GET', url)
        assert answer.status_code == 200 and 'max-age' in answer.headers['Cache-Control']
    assert registry('GET', '/ui/_static/nothing.css').status_code == 404
    assert registry('GET', '/ui/_static/..').status_code == 404


def test_the_raw_documents_are_there(registry):
    push_configured(registry, 'a', 'v1')

    assert '&#34;schemaVersion&#34;: 2' in registry('GET', '/ui/a/manifests/v1').text
    assert json.loads(CONFIG)['os'] in registry('GET', '/ui/a/manifests/v1').text


@pytest.mark.parametrize('query', ['', '?v=', '?v=00000000', '?v=00000000&v='])
def test_no_cache_keeps_a_file_for_a_page_of_another_version(registry, query):
    assert registry('GET', f'/ui/_static/page.js{query}').headers['Cache-Control'] == 'no-cache'


def test_the_pictures_in_the_docs_are_small_and_all_shown():
    docs = pathlib.Path(__file__).parents[4] / 'docs'
    shown = re.findall(r'^\.\. image:: (\S+)', (docs / 'page.rst').read_text(), re.MULTILINE)

    assert sorted(shown) == sorted(path.name for path in docs.glob('page-*.png'))
    assert all((docs / name).stat().st_size < 60_000 for name in shown)
