"""The registries that are compared. Each measures on a new container, and they take turns."""

import collections
import contextlib
import os
import tempfile

import report
import servers
from ports import free_port

OURS, DISTRIBUTION, DISTRIBUTION3 = 'registry-swift', 'distribution', 'distribution 3 on files'
# With a secret of its own, a registry does not wait a second until that of a new container has settled.
SECRET = 'a secret for all measurements of this benchmark'


class Distribution3(servers.Server):
    """CNCF distribution 3, which has no driver for Swift: it keeps everything in files.

    :param program: its path
    """

    CONFIGURATION = """
version: 0.1
log: {{level: info}}
http: {{addr: "{address}", secret: of the benchmarks}}
storage: {{delete: {{enabled: true}}, filesystem: {{rootdirectory: "{folder}"}}}}
"""

    def __init__(self, folder, program):
        port, configuration = free_port(), os.path.join(folder, 'distribution.yml')
        with open(configuration, 'w') as file:
            file.write(self.CONFIGURATION.format(address=f'127.0.0.1:{port}', folder=os.path.join(folder, 'files')))
        super().__init__([program, 'serve', configuration], folder, {'HOME': folder, 'OTEL_TRACES_EXPORTER': 'none'}, port)


def peers(options):
    return [DISTRIBUTION, *([DISTRIBUTION3] if options.distribution3 else [])]


@contextlib.contextmanager
def running(who, swift, options):
    """One of the registries, and a folder for what measures it."""
    with tempfile.TemporaryDirectory(prefix='bench-') as folder:
        container = os.path.basename(folder)
        if who == OURS:
            server = servers.Registry(folder, swift, container, REGISTRY_UPLOAD_SECRET=SECRET)
        elif who == DISTRIBUTION:
            server = servers.Distribution(folder, swift, container)
        else:
            server = Distribution3(folder, os.path.abspath(options.distribution3))
        try:
            server.wait()
            yield server, folder
        finally:
            server.stop()


def in_turns(options, swift, contest):
    """Return {(what, who): [a result for each round]}.

    :param contest: yields (what, result) for (server, folder)
    """
    results = collections.defaultdict(list)
    for turn in range(options.rounds):
        for who in [OURS, *peers(options)][:: -1 if turn % 2 else 1]:
            with running(who, swift, options) as (server, folder):
                for what, result in contest(server, folder):
                    results[what, who].append(result)
                    report.progress(f'{who:24} {what:28} {result}')
    return results
