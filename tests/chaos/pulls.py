"""The ways in which a client pulls and lists, and what is checked of each answer."""

import contents
import judge as judge_module
from ledger import BLOB, MANIFEST, REFERRER, TAG, Key

RECENT = 40  # half of all pulls are of one of the last names
ANY_MANIFEST = {'Accept': ', '.join((contents.IMAGE, contents.INDEX, contents.DOCKER_IMAGE))}


class Puller:
    """Pulls and lists for one client, whatever the ledger has.

    :param known: {digest: `Blob` or `Manifest`} of everything that was ever sent
    """

    def __init__(self, api, judge, ledger, known, rng):
        self._api, self._judge, self._ledger, self._known, self._rng = api, judge, ledger, known, rng

    def _some(self, kind):
        """Return some key of a kind, or None if there is none yet."""
        keys = self._ledger.keys(kind)
        return self._rng.choice(keys[-RECENT:] if self._rng.random() < 0.5 else keys) if keys else None

    # By choice

    def pull_tag(self):
        self._with(TAG, self.manifest)

    def pull_manifest(self):
        self._with(MANIFEST, self.manifest)

    def pull_blob(self):
        self._with(BLOB, self.blob)

    def pull_range(self):
        self._with(BLOB, self._range)

    def ask_blob(self):
        self._with(BLOB, self.head_of_blob)

    def list_tags(self):
        self._with(TAG, lambda key: self.tags(key.repository, self._rng.choice([None, None, 2, 5])))

    def list_referrers(self):
        self._with(REFERRER, lambda key: self.referrers(key.repository, key.subject))

    def _with(self, kind, pull):
        key = self._some(kind)
        if key:
            pull(key)

    # Of what the caller names

    def manifest(self, key):
        """Pull a tag or a manifest by its digest. Return what is there, None for nothing, or False if that is not known."""
        answer = self._get(f'/v2/{key.repository}/manifests/{key.name}', headers=ANY_MANIFEST)
        problem = self._wrong_manifest(key, answer) if answer.status == 200 else ''
        return self._judge.pulled('pull a tag' if key.kind == TAG else 'pull a manifest', key, answer, problem)

    def _wrong_manifest(self, key, answer):
        digest = contents.digest_of(answer.body)
        if digest != answer.header('Docker-Content-Digest') or key.kind == MANIFEST and digest != key.name:
            return f'{len(answer.body)} bytes have the digest {digest}'
        if digest in self._known and answer.header('Content-Type') != self._known[digest].media_type:
            return f'the Content-Type is {answer.header("Content-Type")}'
        return ''

    def blob(self, key):
        answer = self._get(self._path(key))
        problem = '' if answer.status != 200 or self._known[key.name].matches(answer.body) else f'{len(answer.body)} bytes are not the blob'
        return self._judge.pulled('pull a blob', key, answer, problem)

    def find(self, key):
        """Return whether a client that is about to push a blob finds it."""
        began = self._judge.now()
        found = self.head_of_blob(key) == judge_module.THERE
        if found:
            self._ledger.found(key, began)
        return found

    def head_of_blob(self, key):
        answer = self._get(self._path(key), 'HEAD')
        if self._judge.is_missed(key, answer):
            return self.blob(key)
        size = str(self._known[key.name].size)
        problem = '' if answer.status != 200 or answer.header('Content-Length') == size else f'Content-Length is not {size}'
        return self._judge.pulled('ask for a blob', key, answer, problem)

    def _range(self, key):
        blob = self._known[key.name]
        first = self._rng.randrange(blob.size)
        last = min(first + self._rng.randrange(blob.size), blob.size - 1)
        answer = self._get(self._path(key), headers={'Range': f'bytes={first}-{last}'})
        problem = ''
        if answer.status == 200:
            problem = '' if blob.matches(answer.body) else f'{len(answer.body)} bytes are not the blob'
        elif answer.status == 206 and answer.body != blob.content[first : last + 1]:
            problem = f'{len(answer.body)} bytes are not bytes {first} to {last} of {blob.size}'
        self._judge.pulled('pull a range', key, answer, problem)

    def tags(self, repository, page=None):
        """List all tags of a repository. Return their names, or None if they could not be had."""
        return self._list('list tags', TAG, Key(TAG, repository, ''), f'/v2/{repository}/tags/list' + (f'?n={page}' if page else ''))

    def referrers(self, repository, subject):
        key = Key(REFERRER, repository, '', subject)
        return self._list('list referrers', REFERRER, key, f'/v2/{repository}/referrers/{subject}')

    def _list(self, operation, kind, place, path):
        """Read all pages of a listing. `place` is a key in it, without its name."""
        names, since = [], None
        while path:
            answer = self._get(path)
            since = since or answer.started
            page = judge_module.names_in(answer, kind)
            names = None if page is None else names + page
            path = next_page(answer) if page is not None else None
        keys = self._ledger.keys(kind, place.repository, place.subject)
        return self._judge.listed(operation, place, keys, names, answer, since)

    def _get(self, path, method='GET', headers=()):
        return self._api.send(method, path, headers=headers)

    @staticmethod
    def _path(key):
        return f'/v2/{key.repository}/blobs/{key.name}'


def next_page(answer):
    link = answer.header('Link')
    return link[link.index('<') + 1 : link.index('>')] if link else None
