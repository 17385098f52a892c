# -*- coding: utf-8 -*-
"""Failures of Swift: what the registry returns to its clients, and what it logs."""
import re

import pytest

from fake_swift import FakeSwift, cut_response, on, status
from processes import DidNotStart
from v1_client import Refused, V1Client, expected_of

TOKEN = re.compile('AUTH_tk[0-9a-f]{32}')


@pytest.fixture
def private(on_fake, small_image, name):
    """Headers of a client that pulls from the repository `name`, which is private and has one image."""
    on_fake.push(name, small_image(), 'latest')
    on_fake.set_access(name, 'private')
    return {'Authorization': 'Token signature=x,repository="%s",access=read' % name}


@pytest.mark.parametrize('code', [401, 403, 429, 498, 500, 503])
def test_a_private_repository_is_never_reported_public(fake, on_fake, private, name, code):
    fake.fault(on(path_contains='/_private'), status(code), times=None)
    answer = on_fake.ask('GET', 'repositories/%s/properties' % name)
    assert (answer.status, 'public' in answer.body) == (500, False)
    fake.clear_faults()
    assert on_fake.get_json('repositories/%s/properties' % name) == {'access': 'private'}


@pytest.mark.parametrize('what', ['json', 'layer'])
def test_an_image_is_not_given_out_while_it_is_unknown_whether_it_is_private(fake, on_fake, private, name, what):
    image = on_fake.tags(name)['latest']
    fake.fault(on(path_contains='/_private'), status(503), times=None)
    assert on_fake.ask('GET', 'images/%s/%s' % (image, what), headers=private).status == 500


def test_a_private_repository_is_not_reported_public_while_swift_is_down(fake, on_fake, private, name):
    fake.refuse_connections()
    assert on_fake.ask('GET', 'repositories/%s/properties' % name).status == 500
    fake.accept_connections()
    assert on_fake.get_json('repositories/%s/properties' % name) == {'access': 'private'}


@pytest.mark.parametrize('path', ['repositories/%(name)s/tags', 'repositories/%(name)s/images', 'images/%(image)s/json',
                                  'images/%(image)s/layer', 'images/%(image)s/ancestry'])
def test_what_swift_cannot_tell_now_is_an_error_and_not_absent(fake, on_fake, small_image, name, path):
    image = small_image()
    on_fake.push(name, image, 'latest')
    fake.fault(on(kind='object'), status(503), times=None)
    fake.fault(on(kind='container'), status(503), times=None)
    assert on_fake.ask('GET', path % {'name': name, 'image': image.id}).status == 500


@pytest.mark.parametrize('trouble', [status(503), status(401), status(429, {'Retry-After': '0'}), cut_response()],
                         ids=['503', '401', '429', 'cut'])
def test_a_passing_trouble_is_not_seen_by_who_pushes_or_pulls(fake, on_fake, small_image, name, trouble):
    image = small_image(layers=2)
    fake.fault(on(kind='object'), trouble)
    fake.fault(on('PUT', path_contains='/layer'), trouble)
    fake.fault(on('PUT', path_contains='/tag_latest'), trouble)
    on_fake.push(name, image, 'latest')
    fake.fault(on('GET', path_contains='/ancestry'), trouble)
    fake.fault(on('GET', path_contains='/layer'), trouble)
    assert on_fake.pull(name, 'latest') == expected_of(image)


def test_a_pull_goes_on_where_swift_cut_it(fake, on_fake, small_image, name):
    image = small_image()
    on_fake.push(name, image, 'latest')
    fault = fake.fault(on('GET', path_contains='/layer'), cut_response(after_bytes=1000))
    assert on_fake.pull(name, 'latest') == expected_of(image)
    assert fault.hits == 1


def test_a_tag_that_could_not_be_stored_is_not_remembered_as_stored(fake, fake_deployment, on_fake, small_image, name):
    old, new = small_image(), small_image()
    on_fake.push(name, old, 'latest')
    on_fake.push(name, new, 'other')
    fake.fault(on('PUT', path_contains='/tag_latest'), status(503), times=None)
    with pytest.raises(Refused):
        on_fake.put_tag(name, 'latest', new.id)
    fake.clear_faults()
    assert on_fake.tag(name, 'latest') == old.id
    on_fake.put_tag(name, 'latest', new.id)
    assert on_fake.tag(name, 'latest') == new.id
    assert fake_deployment.read('repositories/%s/tag_latest' % name) == new.id


def test_a_token_that_expired_is_renewed_in_the_middle_of_everything(fake, on_fake, small_image, name):
    image = small_image()
    on_fake.push(name, image, 'latest')
    fake.expire_tokens()
    assert on_fake.pull(name, 'latest') == expected_of(image)


# Settings, and the errors for wrong ones


def test_a_wrong_password_is_named_in_the_log_but_not_shown(deploy, release, fake):
    registry = deploy(release, fake).start(OS_PASSWORD='hunter2')
    assert V1Client(registry.address).ask('GET', 'repositories/team/app/tags').status == 500
    assert 'swift_password (OS_PASSWORD)' in registry.log()
    assert 'hunter2' not in registry.log()


@pytest.mark.parametrize('key, variable', [
    ('swift_authurl', 'OS_AUTH_URL'), ('swift_user', 'OS_USERNAME'), ('swift_password', 'OS_PASSWORD'),
    ('swift_container', 'OS_CONTAINER')])
def test_a_registry_without_a_setting_does_not_start_and_names_it(deploy, release, fake, key, variable):
    registry = deploy(release, fake).begin(without=[variable])
    with pytest.raises(DidNotStart):
        registry.wait_for_ping()
    assert re.search(r'%s \(.*\b%s\b.*\) is not set' % (key, variable), registry.log())


def test_a_password_of_digits_with_a_leading_zero_logs_in(deploy, release, name, small_image):
    """The registry itself parses the environment as YAML, where 0123 is 83."""
    with FakeSwift(key='0123') as swift:
        deployment = deploy(release, swift)
        V1Client(deployment.start().address).push(name, small_image(), 'latest')
        deployment.stop()


def test_no_password_and_no_token_is_in_a_debug_log(deploy, release, name, small_image):
    with FakeSwift(key='hunter2') as swift:
        deployment = deploy(release, swift)
        registry = deployment.start(LOGLEVEL='debug', SWIFT_RETRIES='1')
        client = V1Client(registry.address)
        client.push(name, small_image(), 'latest')
        swift.fault(on(path_contains='/tag_latest'), status(500), times=None)
        client.ask('DELETE', 'repositories/%s/' % name)
        deployment.stop()
    assert 'X-Trans-Id' in registry.log(), 'the failure is in the log'
    assert 'hunter2' not in registry.log()
    assert not TOKEN.search(registry.log())
