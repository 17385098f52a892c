"""The clients of a registry: skopeo, podman and plain HTTP. The docker engine is a server, too: see `servers`."""

import base64
import os
import subprocess

import requests

from servers import PATIENCE, program

ALICE = 'alice:correct horse'  # a user of registries that have users
BASIC = {'Authorization': 'Basic ' + base64.b64encode(ALICE.encode()).decode()}  # what she sends


class CommandFailed(AssertionError):
    pass


class Skopeo:
    """skopeo with a memory of its own: where it has seen a blob before changes what it asks a registry for."""

    def __init__(self, folder):
        self._environment = {
            'PATH': '/usr/bin:/bin',
            'HOME': folder,
            'TMPDIR': folder,
            'XDG_DATA_HOME': folder,
            '_CONTAINERS_ROOTLESS_UID': '1000',
        }  # root's memory is one for all, in /var/lib

    def push(self, image, server, name, *options):
        """:param server: has an `address`; :param name: repository:tag"""
        self.copy('dir:' + image.folder, 'docker://%s/%s' % (server.address, name), '--dest-tls-verify=false', *options)

    def pull(self, server, name, folder, *options):
        """The folder, with what came."""
        self.copy('docker://%s/%s' % (server.address, name), 'dir:%s' % folder, '--src-tls-verify=false', *options)
        return str(folder)

    def copy(self, source, target, *options):
        run(['skopeo', 'copy', '--quiet', *options, source, target], self._environment)


class Podman:
    """podman with images of its own. On runc, as docker: crun, its other runtime, does without cgroups of both versions."""

    def __init__(self, folder):
        self._folder = folder

    def __call__(self, *words):
        """What a podman command prints."""
        places = [word for option in ('root', 'runroot', 'tmpdir') for word in ('--' + option, os.path.join(self._folder, option))]
        return run(
            [
                'podman',
                '--storage-driver',
                'vfs',
                '--cgroup-manager',
                'cgroupfs',
                '--events-backend',
                'none',
                '--runtime',
                'runc',
                *places,
                *words,
            ],
            {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': self._folder},
        )


def forget(docker, reference):
    """Remove an image from a docker engine, under all its names."""
    docker('image', 'rm', '--force', docker('image', 'ls', '--quiet', '--no-trunc', reference).strip())


def run(words, environment):
    """What a command prints."""
    done = subprocess.run(
        [program(words[0])] + words[1:], env=environment, stdin=subprocess.DEVNULL, text=True, capture_output=True, timeout=15 * PATIENCE
    )
    if done.returncode:
        raise CommandFailed('%s: %s' % (' '.join(words), done.stderr))
    return done.stdout


def repositories(server):
    return _json(server, '_catalog')['repositories']


def tags(server, repository):
    return _json(server, '%s/tags/list' % repository)['tags']


def _json(server, path):
    answer = requests.get('%s/v2/%s' % (server.url, path), timeout=PATIENCE)
    answer.raise_for_status()
    return answer.json()


def get_blob(server, repository, digest, bytes_range=None):
    return requests.get('%s/v2/%s/blobs/%s' % (server.url, repository, digest), timeout=PATIENCE, headers={'Range': bytes_range})


def get_manifest(server, repository, reference):
    accepted = 'application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json'
    return requests.get('%s/v2/%s/manifests/%s' % (server.url, repository, reference), timeout=PATIENCE, headers={'Accept': accepted})


def delete(server, path):
    return requests.delete('%s/v2/%s' % (server.url, path), timeout=PATIENCE).status_code
