# -*- coding: utf-8 -*-
"""Run `pip install docker-registry-driver-swift` in an environment with the registry."""
import os

FETCH = 'from docker_registry.core import driver; print(driver.fetch("swift").__module__, driver.available())'


def test_the_driver_moves_none_of_the_registrys_pins(release):
    installed = release.installed()
    assert dict((name, installed.get(name)) for name in release.pins()) == release.pins()


def test_v1_auth_brings_no_keystone(release):
    assert not [name for name in release.installed() if 'keystone' in name]


def test_the_registrys_core_finds_the_driver(release):
    assert "('docker_registry.drivers.swift', [" in release.run('python', '-c', FETCH)


def test_the_registrys_own_drivers_are_still_found(release):
    assert "'file'" in release.run('python', '-c', FETCH)


def test_the_sample_configuration_is_the_releases_own(release):
    with open(release.stock_config) as config:
        swift = config.read().partition('swift: &swift')[2].partition('&glance')[0]
    assert 'swift_authurl: _env:OS_AUTH_URL' in swift
    assert 'swift_auth_version' not in swift, 'the walk-through had to add it with sed; nobody should have here'
    assert os.path.realpath(release.stock_config).startswith(os.path.realpath(release.folder))
