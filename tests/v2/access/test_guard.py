"""Who is admitted: users with passwords, anonymous pulls, and clients that guess passwords."""

import concurrent.futures
import datetime
import multiprocessing
import re
import threading
import time

import pytest

from access_client import EVERYTHING, LAYER, PULLS, basic, bearer, replace, token
from docker_registry.v2.access import htpasswd, logins
from docker_registry.v2.access.failures import Failures
from docker_registry.v2.http.app import ROUTES
from docker_registry.v2.settings import config
from docker_registry.v2.settings.config import Access
from registry_client import code_of, digest_of
from registry_process import until

# Only users


@pytest.mark.parametrize('method, path', EVERYTHING)
@pytest.mark.parametrize(
    'sent',
    [
        {},
        basic(password='wrong'),
        basic('nobody'),
        basic('', ''),
        {'Authorization': 'Basic'},
        {'Authorization': 'Basic !'},
        {'Authorization': 'Bearer x'},
        {'Authorization': 'Negotiate abc'},
    ],
    ids=['nothing', 'wrong', 'nobody', 'empty', 'bare', 'garbled', 'bearer', 'other'],
)
def test_without_a_password_nothing_is_to_be_had(closed, method, path, sent):
    answer = closed(method, path, headers=sent)

    assert (answer.status_code, answer.headers['WWW-Authenticate']) == (401, 'Basic realm="registry"')
    assert method == 'HEAD' or code_of(answer) == 'UNAUTHORIZED'
    assert not closed.swift_requests


def test_every_endpoint_is_guarded_but_those_that_tell_nothing_of_images():
    open_to_all = [pattern.pattern for pattern, _, action in ROUTES if action is None]
    assert open_to_all == ['/', '/v2/token', '/healthz', '/readyz', '/ui/_static/(?P<name>[^/]+)']


def test_with_a_password_all_is_to_be_had(closed):
    assert closed('GET', '/v2/', headers=basic()).status_code == 200
    answer = closed('POST', '/v2/a/blobs/uploads/?digest=' + digest_of(LAYER), LAYER, headers=basic('bob', 'battery'))
    assert answer.status_code == 201
    assert closed('GET', '/v2/a/blobs/' + digest_of(LAYER), headers=basic()).data == LAYER
    assert closed('GET', '/v2/_catalog', headers=basic()).status_code == 200


def test_health_needs_no_password(closed):
    assert closed('GET', '/healthz').status_code == 200
    assert closed('GET', '/readyz').status_code == 200


def test_there_are_no_tokens_where_nobody_needs_one(closed, fake_registry):
    for registry in (closed, fake_registry):
        assert registry('GET', '/v2/token', headers=basic()).status_code == 404


@pytest.mark.parametrize('credentials', ['alice:with:colons', 'älïce:pässwörd'])
def test_names_and_passwords_of_any_characters(fake_place, tmp_path, credentials):
    name, _, password = credentials.partition(':')
    (tmp_path / 'htpasswd').write_text(f'{name}:{htpasswd.make(password.encode(), 4).decode()}\n')
    registry = fake_place.registry(Access(htpasswd=str(tmp_path / 'htpasswd')))

    assert registry('GET', '/v2/', headers=basic(name, password)).status_code == 200


def test_a_user_and_an_address_are_logged_and_a_wrong_name_is_not(closed, caplog):
    caplog.set_level('INFO')
    closed('GET', '/v2/', headers=basic(), environ_overrides={'REMOTE_ADDR': '192.0.2.7'})
    closed('GET', '/v2/', headers=basic('my-pass-word', 'x'), environ_overrides={'REMOTE_ADDR': '192.0.2.7'})
    closed('GET', '/v2/', headers=basic('alice', 'x'))

    assert 'from=192.0.2.7 user=alice' in caplog.text
    assert 'a wrong password for an unknown user from 192.0.2.7' in caplog.text
    assert 'a wrong password for alice' in caplog.text
    assert 'my-pass-word' not in caplog.text


# Guessed passwords


def guess(registry, password, name='alice', address='192.0.2.7'):
    return registry('GET', '/v2/', headers=basic(name, password), environ_overrides={'REMOTE_ADDR': address})


@pytest.mark.parametrize('name', ['alice', 'nobody'])
def test_who_guesses_has_to_wait_whether_the_user_is_there_or_not(fake_place, users, name):
    registry = fake_place.registry(Access(htpasswd=users, login_failures=3))
    assert [guess(registry, f'wrong-{number}', name).status_code for number in range(3)] == [401] * 3
    answer = guess(registry, 'wrong-3', name)

    assert (answer.status_code, code_of(answer)) == (429, 'TOOMANYREQUESTS')
    assert 60 < int(answer.headers['Retry-After']) <= 100  # three failures drain in 300 seconds, one in 100


def test_not_even_the_right_password_is_told_from_a_wrong_one_then(fake_place, users):
    registry = fake_place.registry(Access(htpasswd=users, login_failures=3))
    assert guess(registry, 'correct horse').status_code == 200  # now the registry remembers the password
    for number in range(3):
        guess(registry, f'wrong-{number}')

    assert guess(registry, 'correct horse').status_code == 429


def test_others_do_not_have_to_wait(fake_place, users):
    registry = fake_place.registry(Access(htpasswd=users, login_failures=3))
    for number in range(4):
        guess(registry, f'wrong-{number}')

    assert guess(registry, 'correct horse', address='192.0.2.8').status_code == 200
    assert guess(registry, 'battery', 'bob').status_code == 200


def test_an_address_that_tries_many_users_has_to_wait_for_all(fake_place, users):
    registry = fake_place.registry(Access(htpasswd=users, login_failures=1))
    for number in range(logins.ALL_USERS):
        assert guess(registry, 'wrong', f'user-{number}').status_code == 401

    assert guess(registry, 'battery', 'bob').status_code == 429
    assert guess(registry, 'battery', 'bob', '192.0.2.8').status_code == 200


def test_addresses_of_one_ipv6_network_are_one(fake_place, users):
    registry = fake_place.registry(Access(htpasswd=users, login_failures=2))
    for number in range(2):
        guess(registry, f'wrong-{number}', address=f'2001:db8::{number}')

    assert guess(registry, 'wrong', address='2001:db8::ffff').status_code == 429
    assert guess(registry, 'wrong', address='2001:db8:0:1::').status_code == 401


#: Networks with more than one household: a format of its addresses, its households that may fail, and an address outside of it.
NETWORKS = pytest.mark.parametrize(
    'inside, households, outside',
    [('2001:db8:0:{:x}::1', 4, '2001:db8:0:100::1'), ('2001:db8:0:{:x}00::1', 16, '2001:db8:1::1'), ('192.0.2.{}', 16, '192.0.3.1')],
    ids=['56', '48', '24'],
)


@NETWORKS
def test_who_has_a_network_has_few_more_guesses_than_who_has_an_address(fake_place, users, inside, households, outside):
    registry = fake_place.registry(Access(htpasswd=users, login_failures=1))
    statuses = [guess(registry, f'wrong-{number}', address=inside.format(number)).status_code for number in range(households + 2)]

    assert statuses == [401] * households + [429] * 2
    assert guess(registry, 'correct horse', address=outside).status_code == 200


@NETWORKS
def test_who_has_logged_in_before_does_not_wait_for_the_neighbours(fake_place, users, inside, households, outside):
    registry = fake_place.registry(Access(htpasswd=users, login_failures=1))
    assert guess(registry, 'correct horse', address=inside.format(99)).status_code == 200
    for number in range(households):
        guess(registry, f'wrong-{number}', address=inside.format(number))

    assert guess(registry, 'correct horse', address=inside.format(99)).status_code == 200
    assert guess(registry, 'correct horse', address=inside.format(98)).status_code == 429


def test_an_old_password_on_all_machines_of_a_network_counts_once_for_the_network(fake_place, users):
    registry = fake_place.registry(Access(htpasswd=users, login_failures=1))

    assert [guess(registry, 'old', address=f'192.0.2.{number}').status_code for number in range(30)] == [401] * 30
    assert guess(registry, 'correct horse', address='192.0.2.99').status_code == 200


def test_an_old_password_does_not_use_up_the_attempts_of_the_right_one(fake_place, users):
    registry = fake_place.registry(Access(htpasswd=users, login_failures=2))

    assert [guess(registry, 'old').status_code for _ in range(20)] == [401] * 20
    assert guess(registry, 'correct horse').status_code == 200


def test_an_old_password_is_hashed_once(closed, monkeypatch):
    """Otherwise a client that repeats it would occupy the processor, because its attempts are not counted."""
    calls = count_checks(closed, monkeypatch)
    for _ in range(3):
        guess(closed, 'old')

    assert len(calls) == 1


def test_an_old_password_of_another_address_or_user_counts_for_these(fake_place, users):
    registry = fake_place.registry(Access(htpasswd=users, login_failures=1))
    assert guess(registry, 'old').status_code == 401

    assert guess(registry, 'old', address='192.0.2.8').status_code == 401
    assert guess(registry, 'old', 'bob').status_code == 401
    assert [guess(registry, 'new', name, address).status_code for name, address in (('alice', '192.0.2.8'), ('bob', '192.0.2.7'))] == [
        429
    ] * 2


def test_a_wrong_password_that_becomes_the_right_one_is_right(closed, users):
    assert guess(closed, 'new').status_code == 401
    replace(users, b'alice:%b\n' % htpasswd.make(b'new', 4))

    assert guess(closed, 'new').status_code == 200


def fail(failures, key, most, times):
    for number in range(times):
        failures.count((key, number, time.monotonic()), ((key, most),))


def test_failures_are_forgotten_little_by_little(monkeypatch):
    failures, now = Failures(300), [1000.0]
    limits = (('key', 10),)
    monkeypatch.setattr(time, 'monotonic', lambda: now[0])
    for number in range(10):
        assert failures.wait(limits) == 0
        failures.count(number, limits)
    assert failures.wait(limits) == pytest.approx(30)
    now[0] += 30
    assert failures.wait(limits) == 0
    fail(failures, 'key', 10, times=50)
    assert failures.wait(limits) == pytest.approx(60)
    now[0] += 300
    assert failures.wait(limits) == 0


def test_the_same_attempt_counts_again_when_the_count_has_drained(monkeypatch):
    failures, now = Failures(300), [1000.0]
    monkeypatch.setattr(time, 'monotonic', lambda: now[0])
    for _ in range(2):
        for _ in range(5):
            failures.count('attempt', (('key', 1),))
            assert failures.wait((('key', 1),)) == pytest.approx(300)
        now[0] += 300


def test_the_memory_of_attempts_does_not_grow(monkeypatch):
    failures = Failures(300)
    monkeypatch.setattr(failures._attempts, 'offset', lambda key: 0)
    failures.count('first', (('key', 10),))
    failures.count('second', (('key', 10),))

    assert failures.has_counted('second') and not failures.has_counted('first')


def test_two_that_have_one_bucket_wait_no_longer_than_each_alone(monkeypatch):
    failures = Failures(300)
    monkeypatch.setattr(failures._buckets, 'offset', lambda key: 0)
    fail(failures, 'address', 100, times=200)

    assert failures.wait((('user', 10),)) <= 60


def in_processes(call):
    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=call, args=(number,)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def test_no_failure_is_lost_of_those_that_come_together():
    failures = Failures(10**6)
    in_processes(lambda process: [failures.count((process, number), (('key', 1000),)) for number in range(200)])

    assert failures._buckets.level('key') == pytest.approx(0.8, abs=0.001)


def test_the_same_attempt_counts_once_in_all_processes(monkeypatch):
    failures = Failures(10**6)
    monkeypatch.setattr(failures._attempts, 'offset', lambda number: 32 * number)  # two attempts with one slot might count again
    in_processes(lambda process: [failures.count(number, (('key', 1000),)) for number in range(200)])

    assert failures._buckets.level('key') == pytest.approx(0.2, abs=0.001)


FEW = 8  # logins that wait while another is hashed


@pytest.fixture
def hashing(closed, monkeypatch):
    """A function that waits until so many logins wait while one is hashed. `go_on` lets the hashing end, `order` has what was hashed."""
    users, turns, go_on, order = closed.users, closed.app.guard._logins._turns['htpasswd'][0], threading.Event(), []
    monkeypatch.setattr(turns, '_most', FEW)  # requests of one address, which has 16 places
    check = users.check

    def slow_check(name, password):
        assert go_on.wait(30)
        order.append(password.decode())
        return check(name, password)

    def count():
        with turns._lock:  # the others come and go
            return sum(turn.requests for turn in turns._waiting.values())

    def hashing(waiting):
        until(lambda: turns._current and count() == waiting)

    monkeypatch.setattr(users, 'check', slow_check)
    hashing.go_on, hashing.order = go_on, order
    with concurrent.futures.ThreadPoolExecutor(FEW + 2) as pool:
        hashing.guess = lambda *given: pool.submit(guess, closed, *given)
        yield hashing
        go_on.set()


def test_logins_that_wait_leave_places_for_other_requests(closed, hashing):
    """While one login is in progress and `FEW` wait, further ones get 429, and other requests are served."""
    waiting = [hashing.guess('wrong', f'user-{number}') for number in range(FEW + 1)]
    hashing(FEW)
    answer = guess(closed, 'wrong', 'one-more')
    assert (answer.status_code, answer.headers['Retry-After']) == (429, '1')
    assert closed('GET', '/healthz').status_code == 200
    hashing.go_on.set()

    assert [future.result().status_code for future in waiting] == [401] * (FEW + 1)


def test_who_has_asked_for_less_hashing_is_next(hashing):
    futures = []
    for number, (password, address) in enumerate([('a1', 1), ('a2', 1), ('a3', 1), ('a4', 1), ('b1', 2), ('b2', 2), ('c1', 3)]):
        futures.append(hashing.guess(password, 'alice', f'198.51.{address}.1'))
        hashing(number)
    hashing.go_on.set()
    concurrent.futures.wait(futures)

    assert hashing.order == ['a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4']


def test_who_has_logged_in_before_comes_first(hashing, closed, users):
    hashing.go_on.set()
    assert guess(closed, 'correct horse', 'alice', '198.51.9.1').status_code == 200
    hashing.go_on.clear()
    futures = []
    for number, (name, password, address) in enumerate(
        [('bob', 'first', 1), ('bob', 'unknown', 2), ('bob', 'known, as another', 9), ('alice', 'known', 9)]
    ):
        futures.append(hashing.guess(password, name, f'198.51.{address}.1'))
        hashing(number)
    hashing.go_on.set()
    concurrent.futures.wait(futures)

    assert hashing.order[1:] == ['first', 'known', 'unknown', 'known, as another']


def test_somebody_new_takes_the_place_of_an_address_that_has_many(hashing):
    many = [hashing.guess(f'wrong-{number}', 'bob', '198.51.1.1') for number in range(FEW + 1)]
    hashing(FEW)
    new = hashing.guess('correct horse', 'alice', '198.51.2.1')
    refused = next(concurrent.futures.as_completed(many)).result()
    hashing.go_on.set()

    assert refused.status_code == 429 and new.result().status_code == 200


def count_checks(registry, monkeypatch):
    """Return a list that grows by one for each password that is hashed from now on."""
    users, calls = registry.users, []
    check = users.check
    monkeypatch.setattr(users, 'check', lambda *given: calls.append(given) or check(*given))
    return calls


def test_a_password_that_many_requests_bring_at_once_is_hashed_once(closed, monkeypatch):
    calls = count_checks(closed, monkeypatch)
    with concurrent.futures.ThreadPoolExecutor(logins.MOST_WAITING) as pool:
        statuses = [answer.status_code for answer in pool.map(lambda _: guess(closed, 'correct horse'), range(logins.MOST_WAITING))]

    assert (statuses, len(calls)) == ([200] * logins.MOST_WAITING, 1)


def test_a_file_that_cannot_be_used_is_503_and_nobody_is_called_wrong(closed, public, users):
    sent = bearer(token(public, headers=basic()))
    anonymous = bearer(token(public))
    replace(users, b'alice:plain\n')

    for registry, headers in ((closed, basic()), (closed, basic(password='wrong')), (public, basic()), (public, sent)):
        answer = registry('GET', '/v2/', headers=headers)
        assert (answer.status_code, code_of(answer)) == (503, 'UNAVAILABLE')
    assert public('GET', '/v2/token', headers=basic()).status_code == 503
    assert public('GET', '/v2/team/app/tags/list', headers=anonymous).status_code == 200


# Tokens for users


@pytest.mark.parametrize('method, path', EVERYTHING)
@pytest.mark.parametrize(
    'sent', [{}, {'Authorization': 'Basic !'}, basic(password='wrong'), bearer('x')], ids=['nothing', 'garbled', 'wrong', 'x']
)
def test_clients_are_asked_for_tokens_if_that_is_set(bearing, method, path, sent):
    answer = bearing(method, path, headers=sent)

    assert answer.status_code == 401
    assert answer.headers['WWW-Authenticate'].startswith('Bearer realm="http://localhost/v2/token",service="localhost"')
    assert not bearing.swift_requests


@pytest.mark.parametrize('method, path', EVERYTHING)
def test_users_get_in_with_a_token_or_a_password(bearing, method, path):
    for headers in (bearer(token(bearing, headers=basic())), basic()):
        assert bearing(method, path, headers=headers).status_code not in (401, 403, 429)


@pytest.mark.parametrize('method, path', EVERYTHING)
def test_a_client_without_a_login_gets_a_token_for_nothing_if_only_users_may_pull(bearing, method, path):
    """docker repeats a push for a minute if it gets no token at all."""
    given = bearing('GET', '/v2/token?scope=repository:team/app:pull&offline_token=true').json

    assert given['scope'] == '' and 'refresh_token' not in given
    answer = bearing(method, path, headers=bearer(given['token']))
    assert answer.status_code == 401 and 'error="insufficient_scope"' in answer.headers['WWW-Authenticate']


@pytest.mark.parametrize('path', ['/v2/', '/v2/team/app/manifests/v1'])
def test_an_anonymous_token_of_an_instance_that_lets_everybody_pull_is_no_good_at_others(public, bearing, path):
    answer = bearing('GET', path, headers=bearer(token(public)))

    assert answer.status_code == 401 and 'error="insufficient_scope"' in answer.headers['WWW-Authenticate']


# Caches


CACHED = [(method, path) for method, path in PULLS if '/blobs/' in path or '/manifests/' in path]


@pytest.mark.parametrize('method, path', CACHED)
def test_what_only_users_may_pull_is_not_for_caches_that_others_use(bearing, fake_place, users, method, path):
    closed = fake_place.registry(Access(htpasswd=users))
    for registry, sent in ((closed, basic()), (bearing, bearer(token(bearing, headers=basic())))):
        first = registry(method, path, headers=sent)
        again = registry(method, path, headers=dict(sent, **{'If-None-Match': first.headers['ETag']}))
        assert (first.status_code, again.status_code) == (200, 304)
        for answer in (first, again):
            assert answer.cache_control.private and ('/blobs/' not in path or answer.cache_control.max_age == 31536000)


@pytest.mark.parametrize('method, path', CACHED)
def test_what_everybody_may_pull_is_for_all_caches(public, fake_place, method, path):
    for registry, sent in ((public, {}), (public, basic()), (fake_place.registry(), {})):
        answer = registry(method, path, headers=sent)
        assert answer.status_code == 200 and not answer.cache_control.private


# Anonymous pulls


@pytest.mark.parametrize('method, path', PULLS)
def test_everybody_may_pull_with_an_anonymous_token_and_without(public, method, path):
    assert public(method, path, headers=bearer(token(public))).status_code == 200
    assert public(method, path).status_code == 200


@pytest.mark.parametrize('method, path', [request for request in EVERYTHING if request not in PULLS])
def test_only_users_may_do_more(public, method, path):
    expected = 200 if path == '/v2/' else 401

    assert public(method, path).status_code == 401
    assert public(method, path, headers=bearer(token(public))).status_code == expected
    assert public(method, path, headers=basic('alice', 'wrong')).status_code == 401
    answer = public(method, path, headers=basic())
    assert answer.status_code not in (401, 403, 429)
    assert public(method, path, headers=bearer(token(public, headers=basic('bob', 'battery')))).status_code not in (401, 403)


def test_a_user_pushes_with_a_token(public):
    allowed = bearer(token(public, 'repository:new:pull,push', headers=basic()))

    answer = public('POST', '/v2/new/blobs/uploads/?digest=' + digest_of(b'new'), b'new', headers=allowed)
    assert answer.status_code == 201
    assert public('GET', '/v2/new/blobs/' + digest_of(b'new')).data == b'new'


@pytest.mark.parametrize(
    'method, path, scope',
    [
        ('GET', '/v2/', ''),
        ('POST', '/v2/team/app/blobs/uploads/', 'repository:team/app:pull,push'),
        ('GET', '/v2/_catalog', 'registry:catalog:*'),
        ('PUT', '/v2/a/manifests/v1', 'repository:a:pull,push'),
        ('DELETE', '/v2/a/manifests/v1', 'repository:a:delete'),
        ('DELETE', '/v2/a/blobs/' + digest_of(LAYER), 'repository:a:delete'),
        ('DELETE', '/v2/a/blobs/uploads/x', 'repository:a:pull,push'),
        ('POST', '/v2/a/blobs/uploads/?mount=x&from=b', 'repository:a:pull,push repository:b:pull'),
        ('POST', '/v2/a/blobs/uploads/?mount=x&from=B"', 'repository:a:pull,push'),
        ('POST', '/v2/a/blobs/uploads/?mount=x', 'repository:a:pull,push'),
        ('PUT', '/v2/a"b/manifests/v1', ''),
    ],
)
def test_the_challenge_says_where_tokens_are_and_for_what(public, method, path, scope):
    answer = public(method, path, base_url='https://hub.example.com:5001')

    assert answer.status_code == 401
    fields = dict(re.findall(r'(\w+)="([^"]*)"', answer.headers['WWW-Authenticate'].partition('Bearer ')[2]))
    assert fields.pop('scope', '') == scope
    assert fields == {'realm': 'https://hub.example.com:5001/v2/token', 'service': 'hub.example.com:5001'}


def test_an_anonymous_token_that_does_not_do_is_said(public):
    answer = public('POST', '/v2/team/app/blobs/uploads/', headers=bearer(token(public)))

    assert 'error="insufficient_scope"' in answer.headers['WWW-Authenticate']


def test_a_client_that_came_by_tls_is_not_sent_to_a_url_without(public, caplog):
    """An untrusted proxy says that the client uses TLS. A token URL without TLS would make it send the password in clear text."""
    for _ in range(2):
        answer = public('GET', '/v2/', headers={'X-Forwarded-Proto': 'https'})

    assert answer.headers['WWW-Authenticate'] == 'Basic realm="registry"'
    assert len([record for record in caplog.records if 'REGISTRY_TRUSTED_PROXIES' in record.getMessage()]) == 1


def test_a_host_that_would_break_the_challenge_is_refused(public):
    answer = public('GET', '/v2/', headers={'Host': 'a",realm="http://evil'})

    assert answer.status_code == 400 and 'WWW-Authenticate' not in answer.headers


def test_a_wrong_password_gets_no_token(public):
    answer = public('GET', '/v2/token', headers=basic(password='wrong'))

    assert (answer.status_code, code_of(answer)) == (401, 'UNAUTHORIZED')
    assert answer.headers['WWW-Authenticate'] == 'Basic realm="registry"'


def test_who_guesses_for_a_token_has_to_wait_too(fake_place, users):
    registry = fake_place.registry(Access(htpasswd=users, anonymous_pull=True, login_failures=3))
    statuses = [registry('GET', '/v2/token', headers=basic(password=f'wrong-{number}')).status_code for number in range(4)]

    assert statuses == [401, 401, 401, 429]


@pytest.mark.parametrize(
    'damage',
    [
        lambda text: text[:-2] + ('A' if text[-2] != 'A' else 'B') + text[-1],  # not all bits of the last letter count
        lambda text: '',
        lambda text: 'x.y',
        lambda text: text[1:],
        lambda text: text + 'x',
    ],
)
def test_a_token_that_is_not_ours_is_no_good(public, damage):
    answer = public('GET', '/v2/team/app/tags/list', headers=bearer(damage(token(public))))

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers['WWW-Authenticate']


def test_a_token_says_when_it_was_issued(public):
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    answer = public('GET', '/v2/token').json

    assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ', answer['issued_at'])
    assert before <= datetime.datetime.fromisoformat(answer['issued_at'][:-1] + '+00:00') <= datetime.datetime.now(datetime.timezone.utc)


@pytest.mark.parametrize('lifetime', [60, 3600])
def test_a_token_ends_a_minute_after_clients_are_told(fake_place, users, monkeypatch, lifetime):
    registry, now = fake_place.registry(Access(htpasswd=users, anonymous_pull=True, token_lifetime=lifetime)), time.time()
    monkeypatch.setattr(time, 'time', lambda: now)
    answer = registry('GET', '/v2/token', headers=basic()).json
    assert answer['expires_in'] == lifetime
    monkeypatch.setattr(time, 'time', lambda: now + lifetime + 58)
    assert registry('GET', '/v2/', headers=bearer(answer['token'])).status_code == 200
    monkeypatch.setattr(time, 'time', lambda: now + lifetime + 62)

    assert registry('GET', '/v2/', headers=bearer(answer['token'])).status_code == 401


def test_a_token_of_an_instance_whose_clock_is_ahead_is_good(public, monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, 'time', lambda: now + 30)
    allowed = bearer(token(public, headers=basic()))
    monkeypatch.setattr(time, 'time', lambda: now)

    assert public('GET', '/v2/', headers=allowed).status_code == 200


def test_a_token_ends_with_the_password_it_was_given_for(public, users):
    allowed = bearer(token(public, headers=basic()))
    replace(users, b'alice:%b\n' % htpasswd.make(b'another', 4))

    assert public('GET', '/v2/', headers=allowed).status_code == 401


@pytest.mark.parametrize(
    'after', [b'bob:%b\n' % htpasswd.make(b'battery', 4), b'alice:%b\n' % htpasswd.make(b'another', 4)], ids=['removed', 'changed']
)
def test_a_token_that_is_given_while_the_user_is_taken_out_is_no_good(public, users, monkeypatch, after):
    known, check = public.users, public.users.check

    def slow_check(name, password):
        stored = check(name, password)
        replace(users, after)
        return stored

    monkeypatch.setattr(known, 'check', slow_check)
    answer = public('GET', '/v2/token', headers=basic())

    assert public('GET', '/v2/_catalog', headers=bearer(answer.json['token'])).status_code == 401


def test_a_token_is_good_at_every_instance_and_nowhere_else(fake_place, public, users):
    allowed = bearer(token(public, headers=basic()))
    another = fake_place.registry(Access(htpasswd=users, anonymous_pull=True))
    foreign = fake_place.registry(Access(htpasswd=users, anonymous_pull=True), upload_secret='another')

    assert another('GET', '/v2/', headers=allowed).status_code == 200
    assert foreign('GET', '/v2/', headers=allowed).status_code == 401


def test_the_address_that_a_trusted_proxy_names_is_where_tokens_are(fake_place, users):
    access = config.read(
        config.Access, {'REGISTRY_HTPASSWD': users, 'REGISTRY_ANONYMOUS_PULL': 'yes', 'REGISTRY_TRUSTED_PROXIES': '127.0.0.1'}
    )
    registry = fake_place.registry(access)
    said = {'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'hub.example.com', 'X-Forwarded-For': '192.0.2.7'}

    through = registry('GET', '/v2/', headers=said, environ_overrides={'REMOTE_ADDR': '127.0.0.1'})
    direct = registry('GET', '/v2/', headers=said, environ_overrides={'REMOTE_ADDR': '192.0.2.9'})
    assert 'realm="https://hub.example.com/v2/token"' in through.headers['WWW-Authenticate']
    assert 'hub.example.com' not in direct.headers['WWW-Authenticate']
