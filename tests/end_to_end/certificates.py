"""Certificates for tests, signed by a CA that is made for them."""

import collections
import os
import subprocess

#: Paths. `folder` contains the CA as `ca.crt`, as docker and skopeo expect it.
Files = collections.namedtuple('Files', 'folder ca certificate key')


def make(folder, name):
    """Make a certificate for a name and the addresses of this machine, in a new folder. Return its `Files`."""
    os.makedirs(os.path.join(folder, 'ca'))
    files = Files(os.path.join(folder, 'ca'), *[os.path.join(folder, path) for path in ('ca/ca.crt', 'certificate.pem', 'key.pem')])
    ca_key = os.path.join(folder, 'ca.key')
    new = ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
    run(*new, '-subj', '/CN=CA of the tests', '-keyout', ca_key, '-out', files.ca)
    run(
        *new,
        '-subj',
        '/CN=' + name,
        '-CA',
        files.ca,
        '-CAkey',
        ca_key,
        '-addext',
        'basicConstraints=critical,CA:FALSE',
        '-addext',
        'subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1,IP:::1' % name,
        '-keyout',
        files.key,
        '-out',
        files.certificate,
    )
    return files


def run(*command):
    subprocess.run(command, check=True, capture_output=True)
