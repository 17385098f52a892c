"""`python -m docker_registry.v2.http.health`: whether the registry that the environment describes is alive; for health checks of images.

Status 0 if it answers, else 1 and a line that says why. Nothing is imported that takes time: it is asked every half minute.
"""

import http.client
import ssl
import sys

from docker_registry.v2.settings import config

PATIENCE = 5  # seconds
THIS_HOST = {'0.0.0.0': '127.0.0.1', '::': '::1'}  # where who listens on all addresses can be reached


def main():
    try:
        settings = config.read(config.ServerSettings)
        host = THIS_HOST.get(settings.host, settings.host)
        status = ask(settings, host)
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f'no answer: {error}')
        return 1
    print(f'{settings.url(host)}/healthz answers {status}')
    return 0 if status == 200 else 1


def ask(settings, host):
    """The status of an answer. The certificate is of the name that clients know, so that nothing can be said of it here."""
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
