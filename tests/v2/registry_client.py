"""Support for tests of the registry v2 API: containers in Swift, registries on them, and a client that pushes images."""

import hashlib
import json
import os
import uuid
from wsgiref.validate import validator

from werkzeug.test import Client

from docker_registry.core import driver
from docker_registry.v2.access import htpasswd
from docker_registry.v2.access.rules import Rules
from docker_registry.v2.http import app as app_module
from docker_registry.v2.registry import formats
from docker_registry.v2.settings import config as config_module

#: The Swifts that the tests run on: `fake`, `real` or `ceph`.
SWIFTS = [name for name in os.environ.get('TEST_SWIFTS', 'fake,real').split(',') if name != 'live']


class Place:
    """The container of one test, on which the test may start any number of registries."""

    def __init__(self, server, **settings):
        self.server = server
        self.container = 'v2-%s' % uuid.uuid4().hex[:12]
        self._settings = dict(
            {
                'swift_authurl': server.auth_url,
                'swift_auth_version': 1,
                'swift_user': server.user,
                'swift_password': server.key,
                'swift_container': self.container,
                'swift_segment_size': '1MiB',
                'swift_retry_max_wait': 0,
                'swift_pool_size': 20,
                'swift_read_timeout': 20,
            },
            **settings,
        )

    @property
    def is_ceph(self):
        return hasattr(self.server, 'rgw_log')

    @property
    def settings(self):
        """Those of the driver."""
        return dict(self._settings)

    def add(self, **settings):
        """Give these settings to the storage of each registry that starts from now on."""
        self._settings.update(settings)

    def storage(self, **more):
        storage = driver.fetch('swift')(path='files', config=dict(self._settings, **more))
        storage.connect()
        return storage

    def registry(self, access=config_module.Access(), **settings):
        """Return a new registry on this container. It acts like one more instance."""
        return Registry(self.storage(), config_module.Config(**settings), access)

    @property
    def objects(self):
        """{path: Object} of the container. Only the fake Swift has it."""
        return {name[len('files/') :]: found for name, found in self.server.container(self.container).items()}


class Registry:
    """A client of one registry. Its calls return werkzeug's `TestResponse`, and check that the application obeys WSGI."""

    def __init__(self, storage, config, access=config_module.Access()):
        self.storage = storage
        self.users = htpasswd.Users(access.htpasswd) if access.htpasswd else None
        self.app = app_module.create_app(config, storage, self.users, access, rules=Rules(access.rules) if access.rules else None)
        self._client = Client(validator(self.app))
        self.swift_requests = []  # (method, status) of each request to Swift
        count = storage.on_request

        def on_request(method, status, seconds):
            self.swift_requests.append((method, status))
            count(method, status, seconds)

        storage.on_request = on_request

    def __call__(self, method, path, body=b'', chunked=False, **more):
        """Send a request and return the response.

        :param chunked: send no Content-Length, as a server passes a chunked body to the application
        """
        more.setdefault('headers', {})
        if chunked:
            more['environ_overrides'] = dict(
                more.get('environ_overrides', {}), **{'wsgi.input_terminated': True, 'HTTP_TRANSFER_ENCODING': 'chunked'}
            )
        with self._client.open(path, method=method, data=body, **more) as response:
            response.get_data()
            return response

    def push_blob(self, repository, content, digest=None):
        digest = digest or digest_of(content)
        answer = self('POST', f'/v2/{repository}/blobs/uploads/?digest={digest}', content)
        assert answer.status_code == 201, answer.data
        return digest

    def push_manifest(self, repository, reference, manifest, media_type=formats.OCI_IMAGE):
        content = manifest if isinstance(manifest, bytes) else as_json(manifest)
        answer = self('PUT', f'/v2/{repository}/manifests/{reference}', content, headers={'Content-Type': media_type})
        assert answer.status_code == 201, answer.data
        return answer.headers['Docker-Content-Digest']

    def push_image(self, repository, tag, *layers, **more):
        """Push an image with these layers and return the digest of its manifest."""
        config = b'{}'
        for content in (config,) + layers:
            self.push_blob(repository, content)
        return self.push_manifest(repository, tag, image(config, *layers, **more))

    def upload(self, repository, query=''):
        answer = self('POST', f'/v2/{repository}/blobs/uploads/{query}')
        assert answer.status_code == 202, answer.data
        return answer.headers['Location']


def digest_of(content, algorithm='sha256'):
    return '%s:%s' % (algorithm, hashlib.new(algorithm, content).hexdigest())


def as_json(document):
    return json.dumps(document).encode()


def descriptor(content, media_type, **more):
    return dict({'mediaType': media_type, 'digest': digest_of(content), 'size': len(content)}, **more)


def image(config, *layers, **more):
    return dict(
        {
            'schemaVersion': 2,
            'mediaType': formats.OCI_IMAGE,
            'config': descriptor(config, 'application/vnd.oci.image.config.v1+json'),
            'layers': [descriptor(layer, 'application/vnd.oci.image.layer.v1.tar+gzip') for layer in layers],
        },
        **more,
    )


def code_of(answer):
    """Return the code of an error response. Its body must have the form that the spec requires."""
    assert answer.content_type == 'application/json', answer
    (error,) = answer.json['errors']
    assert {'code', 'message'} <= set(error) <= {'code', 'message', 'detail'}
    assert error.get('detail', 'left out') is not None
    return error['code']
