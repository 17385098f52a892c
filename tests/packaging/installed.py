"""Runs before the other tests, to make sure that they test the installed driver and not the checkout."""

import docker_registry.drivers.swift


def test_the_driver_under_test_is_the_installed_one():
    assert '/site-packages/' in docker_registry.drivers.swift.__file__
