"""The clients of a registry: skopeo, podman and plain HTTP. The docker engine is in `servers`, because it is also a server."""

import base64
import os
import subprocess

import requests

from servers import PATIENCE, program

ALICE = 'alice:correct horse'  # the user of registries with passwords
BASIC = {'Authorization': 'Basic ' + base64.b64encode(ALICE.encode()).decode()}  # her login


class CommandFailed(AssertionError):
    pass


class Skopeo:
    """skopeo with a cache of its own. What skopeo remembers about blobs changes its requests to a registry."""

    def __init__(self, folder):
        self._environment = {
            'PATH': '/usr/bin:/bin',
            'HOME': folder,
            'TMPDIR': folder,
            'XDG_DATA_HOME': folder,
            '_CONTAINERS_ROOTLESS_UID': '1000',
        }  # as root, skopeo would otherwise use one cache for all, in /var/lib

    def push(self, image, server, name, *options):
        """Push an image.

        :param server: an object with an `address`
        :param name: repository:tag
        """
        self.copy('dir:' + image.folder, 'docker://%s/%s' % (server.address, name), '--dest-tls-verify=false', *options)

    def pull(self, server, name, folder, *options):
        """Pull an image into a folder and return the folder."""
        self.copy('docker://%s/%s' % (server.address, name), 'dir:%s' % folder, '--src-tls-verify=false', *options)
        return str(folder)

    def delete(self, server, name, *options):
        run(['skopeo', 'delete', '--tls-verify=false', *options, 'docker://%s/%s' % (server.address, name)], self._environment)

    def copy(self, source, target, *options):
        run(['skopeo', 'copy', '--quiet', *options, source, target], self._environment)


class Podman:
    """podman with storage of its own. It uses runc, as docker does, because crun does not support cgroups v1 and v2 together."""

    def __init__(self, folder):
        self._folder = folder

    def __call__(self, *words):
        """Run a podman command and return its output."""
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
    """Remove an image from a docker engine, with all its names."""
    docker('image', 'rm', '--force', docker('image', 'ls', '--quiet', '--no-trunc', reference).strip())


def run(words, environment):
    """Run a command and return its output."""
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
