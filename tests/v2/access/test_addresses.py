"""How addresses of clients are parsed and counted."""

import pytest

from docker_registry.v2.access import addresses


@pytest.mark.parametrize(
    'text, counted',
    [
        ('192.0.2.7', [('192.0.2.7/32', 1), ('192.0.2.0/24', 16)]),
        ('2001:db8:1:2:3:4:5:6', [('2001:db8:1:2::/64', 1), ('2001:db8:1::/56', 4), ('2001:db8:1::/48', 16)]),
        ('::ffff:192.0.2.7', [('192.0.2.7/32', 1), ('192.0.2.0/24', 16)]),
        ('-', [('None', 1)]),
    ],
)
def test_an_address_counts_in_its_household_and_in_the_networks_around_it(text, counted):
    assert addresses.networks(text) == counted


@pytest.mark.parametrize(
    'text', ['localhost', 'LOCALHOST:5000', 'localhost.', 'a.localhost:1', '127.0.0.1', '127.9.9.9:5000', '[::1]', '[::1]:5000', '::1']
)
def test_names_and_addresses_of_this_machine(text):
    assert addresses.is_loopback(text)


@pytest.mark.parametrize(
    'text',
    ['evil.example', 'localhost.evil.example:5000', 'notlocalhost', '127.0.0.1.evil.example', '10.0.0.1', '[::2]:5000', '', 'a"b', '0'],
)
def test_names_and_addresses_that_may_be_those_of_others(text):
    assert not addresses.is_loopback(text)
