"""Starts tools/swift_node.py, a real OpenStack Swift, in a process of its own: from any Python, Swift's or not."""
import collections
import json
import os
import subprocess

NODE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'tools', 'swift_node.py')

#: One line of the request log: what a client asked the proxy for.
Logged = collections.namedtuple('Logged', 'method path status bytes_in bytes_out seconds')


def start(python=None, **options):
    """A `RunningSwift` that is ready; options are those of the program, with `_` for `-`, True for a flag.

    :param python: a Python that has OpenStack Swift; SWIFT_PYTHON of the environment unless given
    """
    command = [python or os.environ['SWIFT_PYTHON'], NODE, '--stdin']
    for name, value in options.items():
        command.append('--' + name.replace('_', '-'))
        if value is not True:
            command.append(str(value))
    return RunningSwift(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))


class RunningSwift(object):
    """Where it is (auth_url, storage_url), who may log in (user, key), and what it was asked for."""

    def __init__(self, process):
        self.process = process
        line = process.stdout.readline()
        if not line:
            raise RuntimeError('Swift did not start: status %s' % process.wait())
        ready = json.loads(line.decode('utf-8'))
        self.auth_url, self.storage_url = str(ready['auth_url']), str(ready['storage_url'])
        self.user, self.key = str(ready['user']), str(ready['key'])
        self.log_path = ready['log']
        self._marked = 0

    def mark(self):
        """Begin to count requests here."""
        self._marked = os.path.getsize(self.log_path)

    def requests(self):
        """The requests since the last `mark`, in the order in which they were answered."""
        with open(self.log_path) as log:
            log.seek(self._marked)
            return [Logged(*line.split()) for line in log]

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
