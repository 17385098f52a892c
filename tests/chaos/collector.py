"""The collector of garbage, as processes that run beside the registries, one after another, and are killed with SIGKILL now and then."""

import collections
import json
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

HURRIED = str(pathlib.Path(__file__).parent / 'hurried.py')
PATIENCE = 600  # seconds in which a run ends
KILLED, RIVALS = 0.2, 0.15  # how often a run is killed, and how often another one begins beside it
LONGEST = 10  # seconds after which a run is killed, at most
PAUSE = (0.2, 2)  # seconds between two runs
UNSENT = 3  # seconds in which an object server notes that it could not tell a container server what it has
FINISHED, KILLED_RUN, LOCKED, BRAKE = 'finished', 'killed', 'stopped because of the lock', 'stopped by a brake'
FAILED, BROKEN = 'failed with Swift', 'broken'  # the second is a bug
MOST_LAST_RUNS = 12
ALL_AT_ONCE = {'older_than': 4, 'keep_trash': 0, 'listing_lag': 0, 'request': 1, 'skew': 0, 'upload': 0, 'commit': 0}


class Collector:
    """Collections in one container.

    :param environment: that of a registry
    """

    def __init__(self, environment, folder):
        self._environment, self.log_path = environment, folder / 'collector.log'
        self._agreed = time.monotonic()
        self._braked = False  # whether the next run is to go on where a brake has stopped the last
        self._lock = threading.Lock()
        self.runs = collections.Counter()  # outcome -> runs
        self.counts = collections.Counter()  # what finished runs said they did
        self.remarks = collections.Counter()

    def set_agreed(self, moment):
        """Note that all container servers agree on what was written before this moment."""
        self._agreed = moment

    def keep_running(self, rng: random.Random, stopping: threading.Event):
        """Collect again and again until `stopping` is set."""
        while not stopping.wait(rng.uniform(*PAUSE)):
            rival = threading.Thread(target=self.run) if rng.random() < RIVALS else None
            if rival:
                rival.start()
            self.run(kill_after=rng.uniform(0.5, LONGEST) if rng.random() < KILLED else None)
            if rival:
                rival.join()

    def run(self, *options, kill_after=None, bounds=None):
        """Collect once. Return the outcome and, if the run has finished, its report.

        The bound for listings is the time since they were complete, so it is what a listing can be late by.
        """
        lag = max(0.0, time.monotonic() - self._agreed) + UNSENT
        given = dict(self._environment, BOUNDS=json.dumps({'listing_lag': round(lag, 1), **(bounds or {})}))
        options = (*options, '--force') if self._braked else options  # an operator has looked
        command = ['setpriv', '--pdeathsig', 'KILL', sys.executable, HURRIED, 'gc', '--json', '--threads', '4', *options]
        began = time.strftime('%F %T')
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(command, env=given, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
            outcome, report = self._wait(process, kill_after, log)
            log.seek(0)
            told = f'{began},000 run begins: {" ".join(options)} {given["BOUNDS"]}\n{log.read().decode(errors="replace")}'
        with self._lock:
            with open(self.log_path, 'a') as log:
                log.write(f'{told}{time.strftime("%F %T")},000 run ended: {outcome} {json.dumps(report)}\n')
            self.runs[outcome] += 1
            self._braked = outcome == BRAKE or self._braked and outcome != FINISHED
            for name, count in (report or {}).get('counts', {}).items():
                self.counts[name] += count
            self.remarks.update(remark.partition(':')[0][-80:] for remark in (report or {}).get('remarks', []))
        return outcome, report

    def _wait(self, process, kill_after, log):
        try:
            output = process.communicate(timeout=kill_after or PATIENCE)[0]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            output = process.communicate()[0]
            if kill_after is None:
                raise RuntimeError(f'a collection does not end; its log is {self.log_path}')
            return KILLED_RUN, None
        if process.returncode == 0:
            return FINISHED, json.loads(output)
        log.seek(0)
        return why(log.read().decode(errors='replace').strip()), None

    def empty(self):
        """Collect until nothing is left to collect: first as usual, but without waiting, then as in a quiet registry."""
        for _ in range(MOST_LAST_RUNS):
            outcome, report = self.run(bounds=ALL_AT_ONCE)
            if outcome == FINISHED and not report['changes']:
                break
            time.sleep(1)
        for _ in range(3):
            if self.run('--quiet-registry')[0] == FINISHED:
                return
            time.sleep(5)
        raise RuntimeError(f'the last collection has not finished; its log is {self.log_path}')


def why(log):
    """Return the outcome of a run that failed, by the last line that it wrote."""
    last = log.rpartition('\n')[2]
    if not last.startswith('registry-swift gc: '):
        return FAILED if last.startswith('registry-swift: ') else BROKEN
    return LOCKED if ' lock' in last else BRAKE
