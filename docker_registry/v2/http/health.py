"""`python -m docker_registry.v2.http.health`: the health check of the image.

It asks the registry for /healthz, at the address in the environment. The exit status is 0 if the registry returns 200, else 1 with a line
that says why. The check runs every 30 seconds, so this module imports nothing that is slow to import.
"""

import http.client
import ssl
import sys

from docker_registry.v2.settings import config

PATIENCE = 5  # seconds to wait for a response
THIS_HOST = {'0.0.0.0': '127.0.0.1', '::': '::1'}  # where to reach a registry that listens on all addresses


def main():
    try:
        settings = config.read(config.ServerSettings)
        host = THIS_HOST.get(settings.host, settings.host)
        status = ask(settings, host)
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f'no response from the registry: {error}')
        return 1
    print(f'{settings.url(host)}/healthz returns {status}')
    return 0 if status == 200 else 1


def ask(settings, host):
    """Return the status of GET /healthz. The certificate is not verified: it is for the name that clients use, not for this host."""
    if settings.tls_certificate:
        connection = http.client.HTTPSConnection(host, settings.port, timeout=PATIENCE, context=_without_verification())
    else:
        connection = http.client.HTTPConnection(host, settings.port, timeout=PATIENCE)
    try:
        connection.request('GET', '/healthz')
        return connection.getresponse().status
    finally:
        connection.close()


def _without_verification():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


if __name__ == '__main__':
    sys.exit(main())
