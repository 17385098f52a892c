"""The conformance tests of docker-registry-core: 28 of `testing.Driver` and 3 of `testing.Query`.

They are written for nose. Here they are unittest cases as well, so they run under nose on Python 2.7 and under pytest on
Python 3, where pynose replaces nose. All 31 run on each of the Swifts in TEST_SWIFTS.
"""
import os
import sys
import unittest
import uuid

from docker_registry import testing
from docker_registry.core import driver

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import fake_swift
import swift_process
from conftest import LIVE, NO_LIVE, SWIFTS, clean_up, settings_for

PLACE = 'core-suite-%s' % uuid.uuid4().hex[:12]


class Fake(object):

    def __init__(self):
        self._server = fake_swift.FakeSwift()
        self._server.__enter__()
        self.config = settings_for(self._server, storage_path=PLACE)

    def stop(self):
        self._server.stop()


class Real(object):

    def __init__(self):
        self._node = swift_process.start(os.environ['SWIFT_PYTHON'])
        self.config = settings_for(self._node, storage_path=PLACE)
        self.stop = self._node.stop


class Ceph(object):

    def __init__(self):
        self._node = swift_process.start_ceph()
        self.config = settings_for(self._node, storage_path=PLACE)
        self.stop = self._node.stop


class Live(object):
    """The Swift that the OS_* variables name. Without them, the tests are skipped."""

    def __init__(self):
        if 'swift_authurl' not in LIVE:
            raise unittest.SkipTest(NO_LIVE)
        self.config = dict(LIVE, storage_path=PLACE)

    def stop(self):
        clean_up(self.config)


class OnSwift(object):

    make_server = None

    @classmethod
    def setUpClass(cls):
        cls.server = cls.make_server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def __init__(self, method):
        unittest.TestCase.__init__(self, method)
        self.scheme = 'swift'

    def setUp(self):
        self._storage = driver.fetch('swift')(None, testing.Config(self.server.config))


for _name in SWIFTS:
    _server = {'fake': Fake, 'real': Real, 'ceph': Ceph, 'live': Live}[_name]
    for _suite in (testing.Driver, testing.Query):
        _class = 'Test%sOn%sSwift' % (_suite.__name__, _server.__name__)
        globals()[_class] = type(_class, (OnSwift, _suite, unittest.TestCase), {
            'make_server': _server, '__module__': __name__})
del _class, _suite
