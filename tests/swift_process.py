"""Starts tools/swift_node.py, a real OpenStack Swift, in a new process. Any Python can do this, 2.7 too, with or without Swift.

`start_ceph` starts tools/rgw_node.py, a real Ceph RADOS Gateway. It has no log of requests in our form.

    swift = swift_process.start(listing_limit=20)
    swift.mark()
    ...                                 # log in at swift.auth_url as swift.user with swift.key
    [request.method for request in swift.requests()]
    swift.stop()
"""
import collections
import io
import json
import os
import subprocess
import sys
import tempfile

TOOLS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'tools')
NODE, CEPH_NODE = os.path.join(TOOLS, 'swift_node.py'), os.path.join(TOOLS, 'rgw_node.py')

#: A line of the request log: one request of a client to the proxy.  `path` is percent-encoded and includes the query.
Logged = collections.namedtuple('Logged', 'method path status bytes_in bytes_out seconds')


def start(python=None, **options):
    """Start a Swift. Returns a `RunningSwift` that is ready.

    :param python: a Python with OpenStack Swift (default: SWIFT_PYTHON)
    :param options: options of the program, with `_` for `-`; True for an option without a value, a list to repeat one
    """
    return RunningSwift(command(python or os.environ['SWIFT_PYTHON'], options))


def start_ceph(**options):
    """Start a Ceph RADOS Gateway, with options of its program as in `start`. It takes about ten seconds."""
    return RunningSwift(command(sys.executable if sys.version_info[0] > 2 else 'python3', options, CEPH_NODE))


def command(python, options, node=NODE):
    words = [python, node, '--stdin']
    for name, value in sorted(options.items()):
        for each in value if isinstance(value, (list, tuple)) else [value]:
            option = '--' + name.replace('_', '-')
            words += [] if each in (False, None) else [option] if each is True else ['%s=%s' % (option, each)]
    return words


def parse(line):
    method, path, status, bytes_in, bytes_out, seconds = line.split()
    return Logged(method, path, int(status) if status.isdigit() else None, int(bytes_in), int(bytes_out), float(seconds))


class RunningSwift(object):
    """A running Swift: its URLs (auth_url, storage_url), credentials (user, key) and logs (log_path, swift_log; Ceph: rgw_log)."""

    def __init__(self, command):
        # Python settings of this process would mislead the other Python.
        environment = dict((name, value) for name, value in os.environ.items() if not name.startswith('PYTHON'))
        with tempfile.TemporaryFile() as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                            env=environment, close_fds=True)
            ready = self.process.stdout.readline()
            if not ready:
                self.close()
                errors.seek(0)
                raise RuntimeError('Swift did not start: %s' % errors.read().decode('utf-8', 'replace'))
        for name, value in json.loads(ready.decode('utf-8')).items():
            setattr(self, {'log': 'log_path'}.get(str(name), str(name)), value if isinstance(value, (int, list, dict)) else str(value))
        self._marked = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def mark(self):
        """Begin to collect requests here."""
        self._marked = os.path.getsize(self.log_path)

    def requests(self):
        """The requests since the last `mark`, in the order in which their responses ended.

        A client that has read a response to its end finds its request here.
        """
        with io.open(self.log_path, encoding='utf-8') as log:
            log.seek(self._marked)
            return [parse(line) for line in log]

    def stop(self):
        """Stop it and wait until it has ended. Can be called again."""
        self.close()

    def close(self):
        """The same as `stop`, which can mean something else where there are several servers."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
