"""`registry-swift check`: what it reports for a Swift that works, and for those that lack something."""

import json
import time
import urllib.request
from types import SimpleNamespace

import pytest

from docker_registry.drivers import swift
from docker_registry.v2.operations import check
from fake_swift import FakeSwift, on, status
from registry_client import SWIFTS
from registry_process import environment, run


@pytest.fixture
def steps(capsys):
    """A function that runs a check and returns {step: (outcome, remark)}, in the order of the steps."""

    def run_check(server, **changes):
        config = dict(
            {
                'swift_authurl': server.auth_url,
                'swift_auth_version': 1,
                'swift_user': server.user,
                'swift_password': server.key,
                'swift_container': 'checked',
                'storage_path': 'root',
            },
            **changes,
        )
        code = check.main(config, as_json=True)
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [step['step'] for step in found] == list(check.Check.STEPS)
        assert code == (0 if all(step['outcome'] == 'ok' for step in found) else 1)
        return {step['step']: (step['outcome'], step['remark']) for step in found}

    return run_check


def failure(found, step):
    """Return the remark of the failed step. The steps before it must be ok, and those after it skipped."""
    outcomes = [outcome for outcome, _ in found.values()]
    at = list(found).index(step)
    assert outcomes == ['ok'] * at + ['failed'] + ['skipped'] * (len(outcomes) - at - 1), found
    return found[step][1]


@pytest.mark.parametrize('swift', ['fake', 'real_swift'])
def test_a_good_swift(request, steps, swift):
    found = steps(request.getfixturevalue(swift), swift_temp_url_key='signs', swift_temp_url_set_key='container')

    assert {outcome for outcome, _ in found.values()} == {'ok'}
    assert 'slo' in found['info'][1]


def test_nothing_is_left_in_the_container(fake, steps):
    steps(fake)

    assert not fake.container('checked')


def test_a_line_for_each_step_with_the_time_it_took(real_swift):
    code, output, errors = run('check', environ=environment(real_swift))

    assert (code, errors) == (0, '')
    lines = output.splitlines()
    assert [line.split()[0] for line in lines] == ['log', 'info', 'container', 'put', 'get', 'range', 'list', 'large', 'temp', 'delete']
    assert all(' ok ' in line and ' s' in line for line in lines)


def test_a_failure_is_one_line_and_status_1_and_no_secret(fake):
    code, output, errors = run('check', environ=environment(fake, OS_PASSWORD='no-one-may-see-this'))

    assert (code, errors) == (1, '')
    (failed,) = [line for line in output.splitlines() if 'failed' in line]
    assert failed.startswith('log in') and 'OS_PASSWORD' in failed
    assert 'no-one-may-see-this' not in output


def test_a_missing_setting(fake):
    code, output, _ = run('check', environ=environment(fake, OS_AUTH_URL=None))

    assert code == 1
    assert 'OS_AUTH_URL' in output


@pytest.mark.parametrize(
    'step, match, names',
    [
        ('container', on('HEAD', path_contains='/checked'), 'OS_CONTAINER'),
        ('put', on('PUT', path_contains='/checked/'), 'OS_CONTAINER'),
        ('get', on('GET', path_contains='/checked/'), 'OS_CONTAINER'),
        ('list', on('GET', query='prefix'), 'OS_CONTAINER'),
        ('delete', on('DELETE'), 'OS_CONTAINER'),
    ],
)
def test_what_the_user_may_not_do(fake, steps, step, match, names):
    # The check accepts a 403 for HEAD of the container: a user may have rights for objects only.
    fake.fault(match, status(500 if step == 'container' else 403), times=None)
    said = failure(steps(fake), step)

    assert names in said or '500' in said


def test_a_container_that_is_missing_and_may_not_be_created(fake, steps):
    assert 'SWIFT_CREATE_CONTAINER' in failure(steps(fake, swift_create_container='no'), 'container')


def test_a_swift_without_large_objects(steps):
    with FakeSwift(slo=False) as server:
        assert 'slo' in failure(steps(server), 'info')


def test_a_swift_that_does_not_say_what_it_can(steps):
    with FakeSwift(info=False) as server:
        found = steps(server)

    assert found['info'][0] == 'ok' and 'does not list its features' in found['info'][1]


@pytest.fixture(params=['fake'] + (['ceph'] if 'ceph' in SWIFTS else []))
def ceph(request):
    if request.param == 'ceph':
        yield request.getfixturevalue('real_ceph')
    else:
        with FakeSwift(ceph=True) as server:
            yield server


def test_ceph(ceph, steps):
    found = steps(ceph, swift_temp_url_key='signs', swift_temp_url_set_key='account')

    assert {outcome for outcome, _ in found.values()} == {'ok'}
    assert 'slo' in found['info'][1] and 'Ceph' in found['container'][1] and 'If-None-Match' in found['put'][1]


@pytest.mark.parametrize('wrong', [{'swift_temp_url_key': 'of nobody'}, {'swift_temp_url_key': 'signs', 'swift_temp_url_digest': 'sha256'}])
def test_a_signed_url_that_ceph_refuses_gets_advice_that_works_there(ceph, steps, wrong):
    steps(ceph, swift_temp_url_key='signs', swift_temp_url_set_key='account')
    said = failure(steps(ceph, **wrong), 'temp_url')

    assert 'SWIFT_TEMP_URL_SET_KEY) to account' in said and 'SWIFT_TEMP_URL_DIGEST' in said and 'to container' not in said


def test_the_key_of_a_container_is_not_set_on_ceph(ceph, steps):
    said = failure(steps(ceph, swift_temp_url_key='of a container', swift_temp_url_set_key='container'), 'temp_url')

    assert 'SWIFT_TEMP_URL_SET_KEY) to account' in said


def test_an_object_that_is_gone_after_it_was_written(fake, steps):
    fake.fault(on('GET', path_contains='/_check/'), status(404), times=None)

    assert 'just written' in failure(steps(fake), 'get')


def test_a_swift_that_ignores_ranges(fake, steps):
    fake.fault(on('GET', where=lambda request: 'Range' in request.headers), status(200, body=b'everything'), times=None)

    assert 'bytes=5-9' in failure(steps(fake), 'range')


def test_a_listing_that_lags_behind(fake, steps, monkeypatch):
    monkeypatch.setattr(check, 'LISTING_SECONDS', 0.3)
    fake.create_container('checked')
    fake.lag_listing('checked')

    assert 'listing' in failure(steps(fake), 'list')


def test_large_objects_that_are_refused(fake, steps):
    fake.fault(on('PUT', query='multipart-manifest'), status(405), times=None)

    assert '405' in failure(steps(fake), 'large_object')
    assert not fake.container('checked')


def test_a_temp_url_key_that_is_not_the_containers(fake, steps):
    assert 'SWIFT_TEMP_URL_KEY' in failure(steps(fake, swift_temp_url_key='mine'), 'temp_url')


SIGNING = {'swift_temp_url_key': 'signs', 'swift_temp_url_set_key': 'container'}


def signed(request):
    """Whether it is a request of the check for one of its objects, and not one with which the driver tries the key."""
    return request.method == 'GET' and 'temp_url_sig' in request.query and '/_check/' in request.path


def test_clients_get_layers_at_the_public_url(fake, steps):
    public = fake.storage_url.replace('127.0.0.1', 'localhost')
    found = steps(fake, swift_public_url=public, **SIGNING)

    assert found['temp_url'][0] == 'ok' and f'at {public.partition("/v1")[0]}, each URL is valid for 1200 seconds' in found['temp_url'][1]
    asked = [request for request in fake.requests if signed(request)]
    assert {request.headers['Host'].partition(':')[0] for request in asked} == {'localhost'}
    assert not any('X-Auth-Token' in request.headers for request in asked)
    assert [request.status for request in asked] == [200, 206, 401, 401]


@pytest.mark.parametrize('public, says', [('http://127.0.0.1:1/v1/AUTH_test', 'cannot be reached'), (None, 'must lead to the account')])
def test_a_public_url_that_is_not_that_of_the_account(fake, steps, public, says):
    said = failure(steps(fake, swift_public_url=public or fake.storage_url + '_other', **SIGNING), 'temp_url')

    assert says in said and 'Check swift_public_url (SWIFT_PUBLIC_URL)' in said


def test_a_storage_url_that_clients_cannot_use(fake, steps):
    fake.fault(on(where=signed), status(403), times=None)

    assert 'If clients need another URL of Swift, set swift_public_url (SWIFT_PUBLIC_URL)' in failure(steps(fake, **SIGNING), 'temp_url')


def test_signed_urls_without_ranges(fake, steps):
    fake.fault(on(where=lambda request: signed(request) and 'Range' in request.headers), status(200, body=b'everything'), times=None)

    assert 'ignores the range' in failure(steps(fake, **SIGNING), 'temp_url')


def test_a_container_that_everybody_can_read(fake, steps):
    fake.fault(on(where=lambda request: signed(request) and len(request.query['temp_url_sig']) == 65), status(200, body=b'all'), times=None)

    assert 'X-Container-Read' in failure(steps(fake, **SIGNING), 'temp_url')


def test_a_new_key_is_set_beside_the_old_one(fake, fake_place, steps):
    fake_place.add(swift_container='checked', swift_temp_url_key='old', swift_temp_url_set_key='container')
    running = fake_place.storage()
    running.put_content('layer', b'bytes')
    url = running.content_redirect_url('layer')

    found = steps(fake, swift_temp_url_key='new', swift_temp_url_old_key='old', swift_temp_url_set_key='container')

    assert found['temp_url'][0] == 'ok'
    assert urllib.request.urlopen(url, timeout=30).read() == b'bytes'


def test_a_clock_that_is_wrong(fake, steps, monkeypatch):
    monkeypatch.setattr(swift, 'time', SimpleNamespace(time=lambda: time.time() - 3600, sleep=time.sleep))

    assert 'differs from that of Swift by 3' in failure(steps(fake, **SIGNING), 'temp_url')


def test_without_a_temp_url_key_none_is_tried(fake, steps):
    found = steps(fake)

    assert found['temp_url'][0] == 'ok' and 'not tried' in found['temp_url'][1]


def test_an_unreachable_swift_is_said_within_seconds(fake):
    code, output, _ = run('check', environ=environment(fake, OS_AUTH_URL='http://127.0.0.1:1/auth/v1.0'))

    assert code == 1
    assert 'cannot be reached' in output
