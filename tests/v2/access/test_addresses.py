"""How addresses of clients are parsed and counted."""

import pytest

from docker_registry.v2.access import addresses


@pytest.mark.parametrize(
    'text, counted',
    [('192.0.2.7', '192.0.2.7'), ('2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'), ('::ffff:192.0.2.7', '192.0.2.7'), ('-', 'None')],
)
def test_addresses_of_one_household_count_as_one(text, counted):
    assert addresses.household(text) == counted
