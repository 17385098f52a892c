"""Clients that get large blobs from Swift itself."""

import ipaddress
import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import swiftclient

from docker_registry.v2.http import redirects
from docker_registry.v2.registry import layout, names
from docker_registry.v2.settings import values
from docker_registry.v2.settings.config import Access
from event_listener import EventListener
from fake_swift import on, stall, status
from registry_client import Place, code_of, digest_of
from registry_process import Serving, environment, until

LARGE, SMALL = bytes(range(256)) * 8, b'small'
EVERYBODY = values.clients('yes')
FROM = {'REMOTE_ADDR': '10.1.2.3'}


@pytest.fixture
def signing(place):
    """A function that returns a registry which redirects, as a user of a Swift whose key it may set."""

    def start(clients='yes', scope='container', **access):
        place.add(swift_temp_url_key='a key that signs', swift_temp_url_set_key='account' if place.is_ceph else scope)
        return place.registry(Access(redirect=values.clients(clients), redirect_size=1024, **access))

    return start


@pytest.fixture
def fake_signing(fake_place):
    """A function that returns a registry on the fake Swift, which may set the key."""

    def start(clients='yes', **access):
        fake_place.add(swift_temp_url_key='signs', swift_temp_url_set_key='container')
        return fake_place.registry(Access(redirect=values.clients(clients), redirect_size=1024, **access))

    return start


@pytest.fixture
def later(monkeypatch):
    """A function that moves the clock of the redirects on, by the time after which they ask Swift again."""

    def move():
        then = time.monotonic() + redirects.PAUSE + 1
        monkeypatch.setattr(redirects.time, 'monotonic', lambda: then)

    return move


def url_of(registry, digest):
    return get(registry, digest).headers['Location']


def warnings(caplog):
    return [
        record.getMessage() for record in caplog.records if record.levelno == logging.WARNING and 'get blobs from' in record.getMessage()
    ]


def get(registry, digest, method='GET', **more):
    return registry(method, f'/v2/a/blobs/{digest}', environ_overrides=FROM, **more)


def test_a_large_blob_comes_from_swift(signing):
    registry = signing()
    digest = registry.push_blob('a', LARGE)

    answer = get(registry, digest)

    assert (answer.status_code, answer.data, answer.headers['Docker-Content-Digest']) == (307, b'', digest)
    assert answer.headers['Cache-Control'] == 'no-store'
    assert requests.get(answer.headers['Location'], timeout=30).content == LARGE


def store_dynamic(place, content):
    """Store a blob as CNCF distribution does: a dynamic large object whose segments are in the same container."""
    connection = swiftclient.Connection(place.server.auth_url, place.server.user, place.server.key)
    for number, first in enumerate(range(0, len(content), 2**20)):
        connection.put_object(place.container, f'segments/dynamic/{number:016d}', content[first : first + 2**20])
    path = layout.blob(names.digest(digest_of(content)))
    connection.put_object(place.container, f'files/{path}', b'', headers={'X-Object-Manifest': f'{place.container}/segments/dynamic/'})


@pytest.mark.parametrize('kind', ['plain', 'static', 'dynamic'])
def test_a_blob_of_any_kind_comes_whole_and_in_ranges(signing, place, kind):
    registry, content = signing(), LARGE if kind == 'plain' else LARGE * 1280  # 2.5 MiB, in segments of 1 MiB
    digest = registry.push_blob('a', content)
    if kind == 'dynamic':
        store_dynamic(place, content)

    url = url_of(registry, digest)
    middle = len(content) // 2

    assert requests.get(url, timeout=30).content == content
    for field, part in (('5-9', content[5:10]), ('-7', content[-7:]), (f'{middle}-', content[middle:]), ('0-0', content[:1])):
        answer = requests.get(url, headers={'Range': f'bytes={field}'}, timeout=30)
        assert (answer.status_code, answer.content) == (206, part)
        assert answer.headers['Content-Range'].endswith(f'/{len(content)}')


def test_a_client_that_asks_for_a_range_is_led_to_swift(signing):
    registry = signing()
    answer = get(registry, registry.push_blob('a', LARGE), headers={'Range': 'bytes=5-9'})

    assert answer.status_code == 307
    assert requests.get(answer.headers['Location'], headers={'Range': 'bytes=5-9'}, timeout=30).content == LARGE[5:10]


def test_swift_does_not_look_at_a_login_that_a_client_sends_on(signing):
    registry = signing()
    url = url_of(registry, registry.push_blob('a', LARGE))

    for login in ('Basic YWxpY2U6c2VjcmV0', 'Bearer eyJhbGciOiJIUzI1NiJ9.e30.x'):
        assert requests.get(url, headers={'Authorization': login}, timeout=30).content == LARGE


def test_the_url_is_valid_for_the_time_of_the_setting(signing, place):
    place.add(swift_temp_url_ttl=77)
    registry = signing()
    digest, before = registry.push_blob('a', LARGE), int(time.time())

    expires = int(parse_qs(urlsplit(url_of(registry, digest)).query)['temp_url_expires'][0])

    assert before + 77 <= expires <= time.time() + 77


@pytest.mark.parametrize('digest, length', [('sha1', 40), ('sha256', 64), ('sha512', 128)])
def test_the_url_is_signed_with_the_digest_of_the_setting(signing, place, digest, length):
    if digest != 'sha1' and place.is_ceph or digest == 'sha512' and 'fake' in type(place.server).__module__:
        pytest.skip('this Swift does not know the digest')
    place.add(swift_temp_url_digest=digest)
    registry = signing()

    url = url_of(registry, registry.push_blob('a', LARGE))

    assert len(parse_qs(urlsplit(url).query)['temp_url_sig'][0]) == length
    assert requests.get(url, timeout=30).content == LARGE


def test_the_url_opens_nothing_else(signing):
    registry = signing()
    digest, other = registry.push_blob('a', LARGE), registry.push_blob('a', LARGE[1:])
    url = get(registry, digest).headers['Location']
    digits, others = digest.partition(':')[2], other.partition(':')[2]

    assert requests.put(url, data=b'x', timeout=30).status_code in (401, 403)
    assert requests.delete(url, timeout=30).status_code in (401, 403)
    assert requests.get(url.replace(digits, others).replace(f'/{digits[:2]}/', f'/{others[:2]}/'), timeout=30).status_code in (401, 403)
    assert get(registry, digest).headers['Location'].startswith(url.partition('?')[0])


def test_head_and_small_blobs_come_from_the_registry(signing):
    registry = signing()
    large, small = registry.push_blob('a', LARGE), registry.push_blob('a', SMALL)

    assert get(registry, large, 'HEAD').status_code == 200
    assert (get(registry, small).status_code, get(registry, small).data) == (200, SMALL)
    assert get(registry, small, headers={'Range': 'bytes=1-2'}).data == SMALL[1:3]


def test_what_a_client_has_is_not_sent(signing):
    registry = signing()
    digest = registry.push_blob('a', LARGE)

    assert get(registry, digest, headers={'If-None-Match': f'"{digest}"'}).status_code == 304


def test_it_costs_two_requests_like_any_other_get(signing):
    registry = signing()
    large, small = registry.push_blob('a', LARGE), registry.push_blob('a', SMALL)
    get(registry, large)  # sets the key
    for digest in (large, small):
        del registry.swift_requests[:]
        get(registry, digest)
        assert len(registry.swift_requests) == 2


def test_clients_that_come_at_the_same_time_share_these_requests(fake, fake_signing, lookers):
    registry = fake_signing()
    digest = registry.push_blob('a', LARGE)
    get(registry, digest)  # sets the key
    fake.fault(on('HEAD'), stall())
    fake.clear_requests()
    lookers.clear()

    with ThreadPoolExecutor(20) as pool:
        answers = pool.map(lambda _: get(registry, digest).status_code, range(20))
        until(lambda: len(lookers) == 20)
        fake.release()

    assert list(answers) == [307] * 20
    assert len(fake.requests) <= 4  # two for the first client, and two for all others


@pytest.mark.parametrize('method', ['GET', 'HEAD'])
def test_a_blob_of_another_repository_is_unknown(signing, method):
    registry = signing()
    registry.push_blob('b', LARGE)

    answer = get(registry, digest_of(LARGE), method)

    assert answer.status_code == 404
    assert method == 'HEAD' or code_of(answer) == 'BLOB_UNKNOWN'


@pytest.mark.parametrize(
    'clients, is_redirected',
    [('no', False), ('yes', True), ('10.0.0.0/8', True), ('10.0.0.0/8, !10.1.0.0/16', False), ('!10.1.2.3', False), ('!10.2.0.0/16', True)],
)
def test_the_setting_names_clients(fake_place, clients, is_redirected):
    fake_place.add(swift_temp_url_key='signs', swift_temp_url_set_key='container')
    registry = fake_place.registry(Access(redirect=values.clients(clients), redirect_size=1024))

    assert get(registry, registry.push_blob('a', LARGE)).status_code == (307 if is_redirected else 200)


@pytest.mark.parametrize(
    'clients, peer, forwarded, is_redirected',
    [
        ('10.0.0.0/8', '127.0.0.1', '10.1.2.3', True),
        ('10.0.0.0/8', '127.0.0.1', '192.0.2.1', False),
        ('127.0.0.1', '127.0.0.1', '192.0.2.1', False),
        ('10.0.0.0/8', '192.0.2.1', '10.1.2.3', False),  # no proxy of ours: it may say what it likes
        ('10.0.0.0/8', '::ffff:10.1.2.3', '', True),
        ('2001:db8::/32', '127.0.0.1', '2001:db8::7', True),
        ('yes', '', '', False),  # nobody knows where it is
    ],
)
def test_the_address_is_that_of_the_client_behind_trusted_proxies(fake_signing, clients, peer, forwarded, is_redirected):
    registry = fake_signing(clients, trusted_proxies=(ipaddress.ip_network('127.0.0.1'),))
    digest = registry.push_blob('a', LARGE)

    answer = registry(
        'GET', f'/v2/a/blobs/{digest}', environ_overrides={'REMOTE_ADDR': peer}, headers={'X-Forwarded-For': forwarded} if forwarded else {}
    )

    assert answer.status_code == (307 if is_redirected else 200)


def test_a_page_of_another_site_gets_the_bytes_from_the_registry(fake_signing):
    """Its browser would not show it those of Swift."""
    registry = fake_signing(cors_origins=('https://ui.example.com',))
    digest = registry.push_blob('a', LARGE)

    assert get(registry, digest, headers={'Origin': 'https://ui.example.com'}).data == LARGE


def test_a_client_that_compares_etags_gets_the_bytes_from_the_registry(fake_signing):
    registry = fake_signing()
    digest = registry.push_blob('a', LARGE)

    assert get(registry, digest, headers={'If-Range': f'"{digest}"', 'Range': 'bytes=5-9'}).data == LARGE[5:10]
    assert get(registry, digest, headers={'If-Match': f'"{digest}"'}).data == LARGE


def test_without_a_key_blobs_come_through_the_registry_with_one_warning(fake_place, caplog, later):
    registry = fake_place.registry(Access(redirect=EVERYBODY, redirect_size=1024))
    digest = registry.push_blob('a', LARGE)

    for _ in range(3):
        assert (get(registry, digest).status_code, get(registry, digest).data) == (200, LARGE)
        later()
    (warning,) = warnings(caplog)
    assert 'SWIFT_TEMP_URL_KEY is not set' in warning


def test_a_key_that_swift_does_not_know_redirects_nobody(place, caplog):
    place.add(swift_temp_url_key='of nobody')
    registry = place.registry(Access(redirect=EVERYBODY, redirect_size=1024))

    assert get(registry, registry.push_blob('a', LARGE)).data == LARGE
    (warning,) = warnings(caplog)
    assert 'is not a key of' in warning and 'of nobody' not in warning


def test_a_swift_without_temporary_urls_redirects_nobody(start_swift, caplog):
    place = Place(start_swift(without=['tempurl']), swift_temp_url_key='signs', swift_temp_url_set_key='container')
    registry = place.registry(Access(redirect=EVERYBODY, redirect_size=1024))

    assert get(registry, registry.push_blob('a', LARGE)).data == LARGE
    (warning,) = warnings(caplog)
    assert 'no temporary URLs' in warning


def test_a_swift_may_allow_temporary_urls_for_get_alone(start_swift):
    swift = start_swift(set=['filter:tempurl:methods=GET'])
    registry = Place(swift, swift_temp_url_key='signs', swift_temp_url_set_key='container').registry(
        Access(redirect=EVERYBODY, redirect_size=1024)
    )

    assert requests.get(url_of(registry, registry.push_blob('a', LARGE)), timeout=30).content == LARGE


def test_a_user_who_may_not_set_keys_redirects_nobody_until_somebody_else_has_set_it(shared_swift, caplog, later):
    owner = Place(shared_swift)
    owner.storage()._swift.request(
        'POST', '/' + owner.container, headers={'X-Container-Read': 'test:reader', 'X-Container-Write': 'test:reader'}
    )
    digest = owner.registry().push_blob('a', LARGE)
    signing = {'swift_container': owner.container, 'swift_temp_url_key': 'signs', 'swift_temp_url_set_key': 'container'}
    user = Place(shared_swift, swift_user='test:reader', swift_password='reading', **signing)
    registry = user.registry(Access(redirect=EVERYBODY, redirect_size=1024))

    assert get(registry, digest).data == LARGE
    assert get(registry, digest).data == LARGE
    assert len(warnings(caplog)) == 1
    owner.add(**signing)
    owner.storage().content_redirect_url('any')
    later()
    assert requests.get(url_of(registry, digest), timeout=30).content == LARGE


def test_a_swift_that_takes_no_key_is_asked_again_later(fake, fake_signing, caplog, later):
    caplog.set_level('INFO')
    registry = fake_signing()
    digest = registry.push_blob('a', LARGE)
    refusal = fake.fault(on('POST', kind='container'), status(403), times=None)

    assert [get(registry, digest).data for _ in range(3)] == [LARGE] * 3
    assert refusal.hits == 1
    refusal.cancel()
    later()
    assert get(registry, digest).status_code == 307
    assert len(warnings(caplog)) == 1
    assert 'clients get blobs from Swift itself again' in caplog.text


def test_a_read_only_registry_redirects_but_sets_no_key(fake, fake_signing):
    registry = fake_signing(read_only=True)
    digest = fake_signing().push_blob('a', LARGE)
    fake.clear_requests()

    assert get(registry, digest).status_code == 200
    assert {request.method for request in fake.requests} <= {'GET', 'HEAD'}
    get(fake_signing(), digest)  # sets it
    assert get(fake_signing(read_only=True), digest).status_code == 307


def test_clients_may_need_another_url_than_the_registry(signing, place):
    place.add(swift_public_url='https://swift.example.com/v1/AUTH_public/')
    registry = signing()

    url = urlsplit(url_of(registry, registry.push_blob('a', LARGE)))

    assert (url.scheme, url.netloc) == ('https', 'swift.example.com')
    assert url.path.startswith(f'/v1/AUTH_public/{place.container}/files/')


def test_the_public_url_may_have_another_host_name(signing, place):
    place.add(swift_public_url=place.storage().storage_url().replace('127.0.0.1', 'localhost'))
    registry = signing()

    url = url_of(registry, registry.push_blob('a', LARGE))

    assert '//localhost:' in url
    assert requests.get(url, timeout=30).content == LARGE


@pytest.mark.parametrize('log_format', ['text', 'json'])
def test_nothing_but_the_response_has_the_signature(fake, tmp_path, log_format):
    with EventListener() as listener:
        environ = environment(
            fake,
            SWIFT_TEMP_URL_KEY='a key that signs',
            SWIFT_TEMP_URL_SET_KEY='container',
            REGISTRY_REDIRECT='yes',
            REGISTRY_LOG_FORMAT=log_format,
            LOGLEVEL='debug',
            REGISTRY_METRICS='yes',
            REGISTRY_NOTIFICATIONS_URL=listener.url,
            REGISTRY_NOTIFICATIONS_TIMEOUT=300,
        )
        with Serving(tmp_path, environ) as registry:
            content = bytes(2**20)
            digest = digest_of(content)
            assert registry.request('POST', f'/v2/a/blobs/uploads/?digest={digest}', content)[0] == 201
            answered, fields, _ = registry.request('GET', f'/v2/a/blobs/{digest}', X_Request_Id='id-of-the-pull')
            signature = re.search('temp_url_sig=([0-9a-f]+)', fields['Location'])[1]
            metrics = registry.request('GET', '/metrics')[2].decode()
            until(lambda: [event['action'] for event in listener.accepted] == ['push', 'pull'])
            log = registry.log
    assert answered == 307 and 'id-of-the-pull' in log and 'DEBUG' in log and digest in log
    for text in (log, metrics, str(listener.accepted), str(fields.items()).replace(fields['Location'], '')):
        assert signature not in text
        assert not re.search('temp_url_sig=[0-9a-f]', text)


@pytest.mark.parametrize('text', ['maybe', '10.0.0.1/8', 'yes,10.0.0.0/8', '!', '10.0.0.0/8,!x'])
def test_a_wrong_setting_says_what_it_must_be(text):
    with pytest.raises(ValueError, match='must be yes, no, or'):
        values.clients(text)
