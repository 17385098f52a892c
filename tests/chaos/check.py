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
    """Pulls everything in the ledger. The first pass settles what is uncertain; later ones have to see the same."""

    def __init__(self, bench):
        self._ledger, self._judge, self._ports = bench.ledger, bench.judge, bench.ports
        self._contents, self._numbers = bench.contents, 0
        self.done = {}  # phase -> number of things that were asked for

    def run(self, phase):
        self._judge.phase = phase
        self._numbers += 1
        rng = random.Random(phase)
        api = Api(f'check{self._numbers}', self._ports, rng)
        puller = Puller(api, self._judge, self._ledger, self._contents, rng)
        self._mark_undecided()
        pulls = [(puller.manifest, key) for kind in (TAG, MANIFEST) for key in self._ledger.keys(kind)]
        pulls += [(puller.blob, key) for key in self._ledger.keys(BLOB)]
        tags = sorted({key.repository for key in self._ledger.keys(TAG)})
        referrers = sorted({(key.repository, key.subject) for key in self._ledger.keys(REFERRER)})
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            for found in (
                pool.map(lambda pull: self._pull(*pull), pulls),
                pool.map(lambda name: self._list(TAG, puller.tags, name), tags),
                pool.map(lambda place: self._list(REFERRER, puller.referrers, *place), referrers),
            ):
                list(found)
        self.done[phase] = len(pulls) + len(tags) + len(referrers)

    def _mark_undecided(self):
        """Tell the judge which tags may or may not be there. What a pull says of them, the listing has to say, too."""
        now = self._judge.now()
        self._judge.undecided |= {key for key in self._ledger.keys(TAG) if len(self._ledger.pullable(key, now, now)) > 1}

    def _pull(self, pull, key):
        seen = self._until(lambda: pull(key), False, key)
        if seen is not False:
            self._ledger.pin(key, seen, self._judge.now())

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
