"""Given to pytest before the other tests: they are about what was installed from the sdist, not about the checkout."""

import docker_registry.drivers.swift


def test_the_driver_under_test_is_the_installed_one():
    assert '/site-packages/' in docker_registry.drivers.swift.__file__
