"""The check at the end: whether everything that was promised is there, with all nodes and without each of them."""

import concurrent.futures
import random
import time

import judge as judge_module
from api import Api
from ledger import BLOB, MANIFEST, REFERRER, TAG, Key
from pulls import Puller

THREADS = 6
PATIENCE = 40.0  # seconds in which a healthy Swift, or one without one node, has to give some answer
PAUSE = 0.5


class Check:
    """Pulls everything in the ledger. The first `run` settles what is uncertain, and later ones have to see the same."""

    def __init__(self, bench):
        self._ledger, self._judge, self._ports = bench.ledger, bench.judge, bench.ports
        self._contents = bench.contents
        self.done = {}  # phase -> number of things that were asked for

    def look(self, phase):
        """Ask for everything by its name, while replicas still differ. Nothing that was acknowledged may be missing even then."""
        puller = self._begin(phase)
        self._all([(self._ask, puller.manifest, key) for kind in (TAG, MANIFEST) for key in self._ledger.keys(kind)])
        self._all([(self._ask, puller.head_of_blob, key) for key in self._ledger.keys(BLOB)])

    def run(self, phase):
        """Pull everything, and then list everything."""
        puller = self._begin(phase)
        self._mark_undecided()
        self._all([(self._pull, puller.manifest, key) for kind in (TAG, MANIFEST) for key in self._ledger.keys(kind)])
        self._all([(self._pull, puller.blob, key) for key in self._ledger.keys(BLOB)])
        self._all([(self._list, TAG, puller.tags, name) for name in sorted({key.repository for key in self._ledger.keys(TAG)})])
        subjects = sorted({(key.repository, key.subject) for key in self._ledger.keys(REFERRER)})
        self._all([(self._list, REFERRER, puller.referrers, *subject) for subject in subjects])

    def _begin(self, phase):
        self._judge.phase = phase
        self.done[phase] = 0
        rng = random.Random(phase)
        api = Api(f'check{len(self.done)}', self._ports, rng)
        return Puller(api, self._judge, self._ledger, self._contents, rng)

    def _all(self, calls):
        """Make calls, each a function and its arguments, several at a time."""
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda call: call[0](*call[1:]), calls))
        self.done[self._judge.phase] += len(calls)

    def _mark_undecided(self):
        """Tell the judge which tags may or may not be there. What a pull says of them, the listing has to say, too."""
        now = self._judge.now()
        self._judge.undecided |= {key for key in self._ledger.keys(TAG) if len(self._ledger.pullable(key, now, now)) > 1}

    def _ask(self, pull, key):
        return self._until(lambda: pull(key), False, key)

    def _pull(self, pull, key):
        seen = self._ask(pull, key)
        now = self._judge.now()
        if seen is not False and (seen or None in self._ledger.possible(key, now, now)):  # a blob that was collected may come back
            self._ledger.pin(key, seen, now)

    def _list(self, kind, ask, repository, subject=''):
        place = Key(kind, repository, '', subject)
        names = self._until(lambda: ask(*filter(None, (repository, subject))), None, place)
        if names is not None and kind == REFERRER:
            for key in self._ledger.keys(REFERRER, repository, subject):
                self._ledger.pin(key, judge_module.THERE if key.name in names else None, self._judge.now())

    def _until(self, ask, nothing, key):
        """Ask until there is an answer, and return it. Return `nothing` if there is none."""
        began = self._judge.now()
        while True:
            answer = ask()
            if answer is not nothing:
                return answer
            if self._judge.now() - began > PATIENCE:
                self._judge.unavailable(key, began)
                return nothing
            time.sleep(PAUSE)
