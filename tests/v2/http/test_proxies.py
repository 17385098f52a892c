"""Which proxies are believed, and which of their headers."""

import ipaddress

import pytest

from docker_registry.v2.http.proxies import Proxies

TRUSTED = Proxies([ipaddress.ip_network(text) for text in ('127.0.0.1/32', '10.0.0.0/8', '::1/128')])


def applied(peer, proxies=TRUSTED, **fields):
    environ = {
        'REMOTE_ADDR': peer,
        'wsgi.url_scheme': 'http',
        'HTTP_HOST': 'registry:5000',
        **{'HTTP_X_FORWARDED_' + name.upper(): text for name, text in fields.items()},
    }
    proxies.apply(environ)
    return environ['REMOTE_ADDR'], environ['wsgi.url_scheme'], environ['HTTP_HOST']


def test_a_trusted_proxy_says_who_and_where_the_client_is():
    assert applied('127.0.0.1', **{'for': '192.0.2.7', 'proto': 'https', 'host': 'hub.example.com'}) == (
        '192.0.2.7',
        'https',
        'hub.example.com',
    )


@pytest.mark.parametrize('peer', ['192.0.2.1', '127.0.0.2', '::2', '', 'unix:', '11.0.0.1'])
def test_nobody_else_is_believed(peer):
    assert applied(peer, **{'for': '192.0.2.7', 'proto': 'https', 'host': 'hub.example.com'}) == (peer, 'http', 'registry:5000')


def test_without_the_setting_nobody_is():
    assert applied('127.0.0.1', Proxies(()), **{'for': '192.0.2.7', 'proto': 'https'}) == ('127.0.0.1', 'http', 'registry:5000')


@pytest.mark.parametrize(
    'forwarded, client',
    [
        ('192.0.2.7', '192.0.2.7'),
        ('1.2.3.4, 192.0.2.7', '192.0.2.7'),
        ('1.2.3.4,192.0.2.7, 10.0.0.2', '192.0.2.7'),
        ('127.0.0.1, 192.0.2.7, 10.0.0.2,10.9.9.9', '192.0.2.7'),
        ('10.0.0.3', '10.0.0.3'),
        ('', '127.0.0.1'),
        ('nonsense', '127.0.0.1'),
        ('192.0.2.7, nonsense, 10.0.0.2', '10.0.0.2'),
        ('2001:db8::7', '2001:db8::7'),
        ('::ffff:192.0.2.7', '192.0.2.7'),
        ('192.0.2.7:5678', '192.0.2.7'),
        ('[2001:db8::7]:5678', '2001:db8::7'),
    ],
)
def test_the_client_is_the_last_that_is_no_proxy_of_ours(forwarded, client):
    assert applied('127.0.0.1', **{'for': forwarded})[0] == client


def test_a_proxy_that_came_by_ipv6_with_an_address_of_ipv4():
    assert applied('::ffff:10.1.2.3', **{'for': '192.0.2.7'})[0] == '192.0.2.7'


@pytest.mark.parametrize(
    'fields, expected',
    [
        ({'proto': 'ftp'}, ('http', 'registry:5000')),
        ({'proto': 'http, HTTPS'}, ('https', 'registry:5000')),
        ({'host': 'a"b'}, ('http', 'registry:5000')),
        ({'host': 'x, hub:5000'}, ('http', 'hub:5000')),
        ({'host': '[::1]:5000'}, ('http', '[::1]:5000')),
        ({'host': 'a/b'}, ('http', 'registry:5000')),
    ],
)
def test_what_cannot_be_is_not_believed(fields, expected):
    assert applied('127.0.0.1', **fields)[1:] == expected
