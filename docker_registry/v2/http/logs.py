"""The log: its format, and the line for each request."""

import datetime
import json
import logging
import sys
import threading

from docker_registry.v2.access.audit import written
from docker_registry.v2.http import tracing
from docker_registry.v2.registry.errors import short

requests = logging.getLogger('docker_registry.v2.http.requests')

LONGEST_AGENT = 200  # characters of a User-Agent


class TextLines(logging.Formatter):
    """Writes a record as one line, whatever stands in it. A traceback follows it with indented lines, so that none looks like a record."""

    def __init__(self):
        super().__init__('%(asctime)s %(levelname)s [%(process)d] %(message)s')

    def formatMessage(self, record):
        return _printable(super().formatMessage(record).rstrip('\n'))

    def formatException(self, exc_info):
        return '\n'.join('    ' + _printable(line) for line in super().formatException(exc_info).split('\n'))


def _printable(text):
    if text.isprintable():
        return text
    return ''.join(each if each.isprintable() else each.encode('unicode_escape').decode() for each in text)


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object in one line of ASCII, whatever stands in it.

    A record may have `facts`, a dict, as its `extra`. They become members of the object, and replace its `message` if they have one.
    Members without a value are left out.
    """

    def format(self, record):
        members = {
            'time': _time(record.created),
            'level': record.levelname,
            'process': record.process,
            'message': record.getMessage(),
            'id': tracing.current_id(),
            **getattr(record, 'facts', {}),
        }
        if record.exc_info:
            members['exception'] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in members.items() if value not in (None, '', [])}, default=str)


def _time(seconds):
    """Return a time as RFC 3339 writes it, in UTC with milliseconds."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(timespec='milliseconds').replace('+00:00', 'Z')


def formatter(log_format):
    """Return the formatter for `logging.config.dictConfig`. The format is text or json."""
    return {'()': JsonLines if log_format == 'json' else TextLines}


def take_everything():
    """Let the log have what Python would write to standard error: warnings, and errors that nobody handles."""
    logging.captureWarnings(True)
    sys.excepthook = lambda *error: logging.critical('the process ends because of an error', exc_info=error)
    threading.excepthook = lambda failed: logging.error(
        'a thread failed', exc_info=(failed.exc_type, failed.exc_value or failed.exc_type(), failed.exc_traceback)
    )
    sys.unraisablehook = lambda failed: logging.error(
        '%s', failed.err_msg or 'an error was ignored', exc_info=(failed.exc_type, failed.exc_value, failed.exc_traceback)
    )


def greenlet_failed(context, *error):
    """Take the place of `gevent.hub.Hub.print_exception`."""
    logging.error('a greenlet failed', exc_info=error)


def request(request, response, sent, seconds, trace):
    """Write the line of a request that has been answered. JSON has more in it than text.

    :param sent: bytes of the response's body
    :param seconds: since the request's head was there
    """
    path, status, address, user = request.logged_path, response.status_code, request.remote_addr or '-', written(request.identity.name)
    facts = {
        'message': f'{request.method} {path} {status}',
        'event': 'request',
        'method': request.method,
        'path': path,
        'status': status,
        **_target(request, response),
        'bytes_in': request.body.count if request.body else 0,
        'bytes_out': sent,
        'seconds': round(seconds, 3),
        'swift': {'requests': trace.count, 'seconds': round(trace.seconds, 3), 'failures': [_failure(error) for error in trace.failures]},
        'from': request.remote_addr,
        'user': request.identity.name,
        'user_agent': short(request.headers.get('User-Agent', ''), LONGEST_AGENT),
        'id': request.id,
    }
    text = '%s %s %d %d %.3f swift=%d from=%s user=%s id=%s'
    requests.info(text, request.method, path, status, sent, seconds, trace.count, address, user, request.id, extra={'facts': facts})


def _target(request, response):
    """Return repository, tag and digest, as far as the URL or the response names them."""
    reference = request.parts.get('reference', '')
    return {
        'repository': short(request.parts.get('repository', '')),
        'tag': '' if ':' in reference else short(reference),
        'digest': response.headers.get('Docker-Content-Digest') or short(request.parts.get('digest', '') or reference * (':' in reference)),
    }


def _failure(error):
    known = {'status': getattr(error, 'status', None), 'trans_id': getattr(error, 'trans_id', None), 'error': type(error).__name__}
    return {name: value for name, value in known.items() if value is not None}
