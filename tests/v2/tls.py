"""A certificate for 127.0.0.1, and the options of `serve` that use it."""

import subprocess


def make_certificate(folder, *options):
    """:param options: further ones of `openssl req`"""
    command = ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
    names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
    files = ['-keyout', folder / 'key.pem', '-out', folder / 'certificate.pem']
    subprocess.run([*command, *names, *files, *options], check=True, capture_output=True)


def tls_options(folder):
    return '--tls-certificate', str(folder / 'certificate.pem'), '--tls-key', str(folder / 'key.pem')
