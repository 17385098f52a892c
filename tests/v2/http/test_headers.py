"""Header fields: how long they may be, and which texts are accepted as the range of a chunk."""

import pytest

from docker_registry.v2.access.identity import Identity
from docker_registry.v2.access.scopes import Scopes
from docker_registry.v2.access.tokens import Tokens
from docker_registry.v2.http import headers, server
from docker_registry.v2.registry import errors
from registry_client import code_of


@pytest.mark.parametrize('text', ['5-4', 'a-b', '-5', '5-', 'bytes', '0', '0-' + '9' * 20])
def test_what_is_no_content_range(text):
    with pytest.raises(errors.RangeInvalid):
        headers.content_range(text)


@pytest.mark.parametrize('name', ['If-None-Match', 'If-Match', 'If-Range', 'Content-Range', 'Accept', 'X-Request-Id'])
def test_a_field_that_is_too_long_is_refused_before_anything_reads_it(fake_registry, name):
    answer = fake_registry('GET', '/v2/', headers={name: 'a' * (headers.LONGEST + 1)})

    assert (answer.status_code, code_of(answer)) == (431, 'UNSUPPORTED')
    assert answer.json['errors'][0]['detail'] == {'field': name}
    assert fake_registry('GET', '/v2/', headers={name: 'a' * headers.LONGEST}).status_code == 200


@pytest.mark.parametrize('name, most', headers.OTHER_LIMITS.items())
def test_some_fields_have_a_limit_of_their_own(fake_registry, name, most):
    statuses = [fake_registry('GET', '/v2/', environ_overrides={name: 'a' * length}).status_code for length in (most, most + 1)]

    assert statuses == [200, 431]


def test_the_range_of_podmans_thousand_chunks_is_not_too_long():
    longest = 'bytes=' + ','.join(f'{10**9 + at}-{10**9 + at + 1}' for at in range(1024))

    assert headers.LONGEST < len(longest) <= headers.OTHER_LIMITS['HTTP_RANGE'] <= server.LONGEST_FIELD


def test_the_longest_token_is_not_too_long():
    longest = Scopes({('repository', f'{number:03}/' + 'a' * 190): ['pull', 'push'] for number in range(19)})
    token = Tokens(lambda: b'key', 60, None).make(Identity('a' * 255, stored=b'hash'), longest)['token']

    assert len(str(longest)) > 4000
    assert len(f'Bearer {token}') < headers.LONGEST
