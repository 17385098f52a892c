"""Part `storms`: many clients ask for manifests by tag in the same seconds, beside CNCF distribution, on one real Swift."""

import os
import subprocess
import tempfile
import time
from typing import NamedTuple

import requests

import clients
import images
import peers
import report
import swift_process

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY, TAGS = 'bench/storm', 50
SECONDS, QUICK_SECONDS = 4, 2  # for each storm
QUIET_SECONDS = 0.3
STORMS = {  # what: (clients, tags)
    '1 client, one tag': (1, 1),
    '16 clients, one tag': (16, 1),
    '128 clients, one tag': (128, 1),
    '128 clients, 50 tags': (128, TAGS),
}
GOALS = {
    '128 clients, one tag': {'rate': 'ours >= 1000', 'p99': 'ours <= 500', 'requests': 'ours <= 5'},
    '128 clients, 50 tags': {'rate': 'ratio >= 1'},
}
FIELDS = {'rate': ('manifests', '/s'), 'p99': ('p99', 'ms'), 'requests': ('requests to Swift', '%')}


class Measured(NamedTuple):
    rate: float  # answers a second
    p99: float  # milliseconds, for 99 of 100 answers
    requests: float  # to Swift, in percent of the answers

    def __str__(self):
        return f'{self.rate:.0f}/s, p99 {self.p99:.0f} ms, {self.requests:.1f} % requests to Swift'


def rows(options):
    with tempfile.TemporaryDirectory(prefix='bench-') as folder, swift_process.start() as swift:
        image = images.make_image(os.path.join(folder, 'image'), (64 * 1024,), images.DOCKER)
        results = peers.in_turns(options, swift, lambda server, folder: storms(options, swift, image, server, folder))
    for what in chosen(options):
        for peer in peers.peers(options):
            for field, (name, unit) in FIELDS.items():
                if field != 'requests' or peer == peers.DISTRIBUTION:  # distribution 3 sends none
                    ours, theirs = ([getattr(one, field) for one in results[what, who]] for who in (peers.OURS, peer))
                    goal = GOALS.get(what, {}).get(field, '') if peer == peers.DISTRIBUTION else ''
                    yield report.Row('storms', f'{what}: {name}', ours, theirs, unit, peer, goal=goal)


def chosen(options):
    return {what: STORMS[what] for what in GOALS} if options.quick else STORMS


def storms(options, swift, image, server, folder):
    clients.Skopeo(folder).push(image, server, REPOSITORY + ':1')
    manifest = requests.get(f'{server.url}/v2/{REPOSITORY}/manifests/1', headers={'Accept': images.DOCKER.manifest}).content
    for number in range(2, TAGS + 1):  # each tag has a manifest of its own
        url = f'{server.url}/v2/{REPOSITORY}/manifests/{number}'
        requests.put(url, manifest + b' ' * number, headers={'Content-Type': images.DOCKER.manifest}).raise_for_status()
    for what, (callers, tags) in chosen(options).items():
        if not options.quick:
            storm(server, callers, tags, 1)  # connections to Swift are open afterwards
        quiet(swift)
        swift.mark()
        answers, seconds, p99 = storm(server, callers, tags, QUICK_SECONDS if options.quick else SECONDS)
        # Each client has had one more request under way when the time was over. The registry works on it all the same.
        yield what, Measured(answers / seconds, p99, 100 * quiet(swift) / (answers + callers))


def quiet(swift):
    """Wait until Swift has had no request for a while, and return how many it had since its mark."""
    last = None
    while last != (now := len(swift.requests())):
        last = now
        time.sleep(QUIET_SECONDS)
    return now


def storm(server, callers, tags, seconds):
    """Return (the number of answers, seconds, milliseconds for 99 of 100 answers).

    wrk is one thread of C and asks much faster than any of the registries answers.
    """
    command = ['wrk', '-t', '1', '-c', str(callers), '-d', str(seconds), '--timeout', '30', '-s', os.path.join(HERE, 'storm.lua')]
    path = f'/v2/{REPOSITORY}/manifests/'
    output = subprocess.run([*command, server.url, '--', path, str(tags)], check=True, capture_output=True, text=True).stdout
    answers, microseconds, p99, bad = map(float, output.splitlines()[-1].split())
    if bad:
        raise AssertionError(f'{bad:.0f} of {answers:.0f} answers were wrong:\n{output}')
    return answers, microseconds / 1e6, (p99 or microseconds) / 1e3  # without any answer, it is more than all that time
