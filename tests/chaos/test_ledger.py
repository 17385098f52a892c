"""The checker reports each kind of violation when it is shown one, and nothing when the registry is right."""

import dataclasses
import http.client
import json
import math
import pathlib

import pytest

import contents
import judge as judge_module
import report
from api import Answer
from judge import Judge, names_in
from ledger import ACKNOWLEDGED, BLOB, LATE, MANIFEST, REFERRER, REFUSED, TAG, THERE, UNCERTAIN, Key, Ledger

DIGEST, OTHER = 'sha256:' + 'a' * 64, 'sha256:' + 'b' * 64
PLACE, TAGS = Key(BLOB, 'a', DIGEST), Key(TAG, 'a', '')
TAGGED = Key(TAG, 'a', 'v1')


class Story:
    """Writes and answers at moments that a test chooses."""

    def __init__(self):
        self.ledger = Ledger()
        self.ledger.set_agreed(math.inf)
        self.blob = contents.Blob('some', 100)
        self.judge = Judge(self.ledger, {DIGEST: self.blob, OTHER: contents.Manifest(b'{}', 'a/b')}, lambda: 0.0)

    def write(self, start, end, outcome=ACKNOWLEDGED, **values):
        """Write registers. `tag=DIGEST` is the tag, `manifest=` one with the digest DIGEST, `blob=` and `referrer=` likewise."""
        pending = self.ledger.begin([(KEYS[name], value) for name, value in values.items()], start)
        if end is not None:
            self.ledger.end(pending, outcome, end)
        return pending

    def pull(self, key, start, end, status=200, problem='', **headers):
        return self.judge.pulled('pull', key, answered('GET', status, start, end, **headers), problem)

    def pull_tag(self, digest, start, end):
        return self.pull(TAGGED, start, end, 200 if digest else 404, Docker_Content_Digest=digest or '')

    def list_tags(self, names, start, end):
        keys = self.ledger.keys(TAG, 'a')
        return self.judge.listed('list', TAGS, keys, names, answered('GET', 200, start, end), start)

    @property
    def kinds(self):
        return [violation.kind for violation in self.judge.violations]


KEYS = {'tag': TAGGED, 'manifest': Key(MANIFEST, 'a', DIGEST), 'blob': PLACE, 'referrer': Key(REFERRER, 'a', DIGEST, OTHER)}


def answered(method, status, start, end, body=b'', failure='', **headers):
    fields = http.client.HTTPMessage()
    for name, value in headers.items():
        fields[name.replace('_', '-')] = value
    return Answer(method, '/v2/a', 'id', 1, start, end, status, fields, body, failure)


@pytest.fixture
def story():
    return Story()


# What an honest registry may answer


def test_what_was_acknowledged_may_be_pulled(story):
    story.write(1, 2, blob=THERE)
    story.pull(PLACE, 3, 4)
    assert story.kinds == []


def test_what_is_being_written_may_be_there_or_not(story):
    story.write(1, None, blob=THERE)
    story.pull(PLACE, 2, 3)
    story.pull(PLACE, 2, 3, 404)
    assert story.kinds == []


def test_what_is_uncertain_may_be_there_or_not(story):
    story.write(1, 2, UNCERTAIN, blob=THERE)
    story.pull(PLACE, 1000, 1001)
    story.pull(PLACE, 1002, 1003, 404)
    assert story.kinds == []


def test_an_uncertain_write_may_take_effect_after_an_acknowledged_one_that_followed_it_closely(story):
    story.write(1, 2, UNCERTAIN, tag=OTHER)
    story.write(3, 4, tag=DIGEST)
    story.pull_tag(OTHER, 5, 6)
    assert story.kinds == []


def test_writes_that_overlap_may_take_effect_in_either_order(story):
    story.write(1, 4, tag=DIGEST)
    story.write(2, 3, tag=OTHER)
    story.pull_tag(DIGEST, 5, 6)
    story.pull_tag(OTHER, 5, 6)
    assert story.kinds == []


def test_a_read_may_see_what_was_current_when_it_began(story):
    story.write(1, 2, tag=DIGEST)
    story.write(4, 5, tag=OTHER)
    story.pull_tag(DIGEST, 3, 9)
    assert story.kinds == []


def test_errors_of_the_server_and_cut_answers_say_nothing(story):
    story.write(1, 2, blob=THERE)
    assert story.pull(PLACE, 3, 4, 503) is False
    assert story.pull(PLACE, 3, 4, None) is False
    assert story.kinds == []


def test_a_tag_is_gone_with_its_manifest(story):
    story.write(1, 2, tag=DIGEST, manifest=THERE)
    story.write(3, 4, manifest=None)
    story.pull_tag(None, 5, 6)
    story.list_tags([], 5, 6)
    assert story.kinds == []


def test_a_tag_stays_if_the_delete_of_its_manifest_is_refused(story):
    story.write(1, 2, tag=DIGEST, manifest=THERE)
    story.write(3, 4, REFUSED, manifest=None)
    story.pull_tag(DIGEST, 5, 6)
    assert story.kinds == []


def test_a_listing_may_be_as_old_as_the_last_agreement(story):
    story.ledger.set_agreed(1.5)
    story.write(1, 2, tag=DIGEST)
    story.list_tags([], 50, 51)
    assert story.kinds == []
    assert sum(story.judge.stale_listings.values()) == 1


# What it must not answer


def test_a_404_for_something_acknowledged_is_reported(story):
    story.write(1, 2, blob=THERE)
    story.pull(PLACE, 3, 4, 404)
    assert story.kinds == [judge_module.FALSE_404]


def test_a_404_for_an_acknowledged_tag_is_reported(story):
    story.write(1, 2, tag=DIGEST, manifest=THERE)
    story.pull_tag(None, 3, 4)
    assert story.kinds == [judge_module.FALSE_404]


def test_a_404_to_the_delete_of_something_acknowledged_is_reported(story):
    story.write(1, 2, blob=THERE)
    story.judge.written('delete', story.write(3, None, blob=None), answered('DELETE', 404, 3, 4))
    assert story.kinds == [judge_module.FALSE_404]


def test_a_404_for_an_upload_is_reported(story):
    assert not story.judge.step('send a chunk', PLACE, answered('PATCH', 404, 1, 2))
    assert story.kinds == [judge_module.WRONGLY_REFUSED]


def test_a_manifest_that_is_refused_for_an_acknowledged_blob_is_reported(story):
    story.write(1, 2, blob=THERE)
    errors = {'errors': [{'code': 'MANIFEST_BLOB_UNKNOWN', 'detail': {'digest': DIGEST}}]}
    pending = story.write(3, None, manifest=THERE)
    story.judge.written('push', pending, answered('PUT', 404, 3, 4, json.dumps(errors).encode()))
    assert story.kinds == [judge_module.FALSE_404]


def test_a_manifest_may_be_refused_for_a_manifest_that_is_not_there(story):
    errors = {'errors': [{'code': 'MANIFEST_BLOB_UNKNOWN', 'detail': {'digest': OTHER}}]}
    pending = story.write(3, None, manifest=THERE)
    story.judge.written('push', pending, answered('PUT', 404, 3, 4, json.dumps(errors).encode()))
    assert story.kinds == []


def test_a_valid_request_that_is_refused_is_reported(story):
    story.judge.written('push', story.write(1, None, blob=THERE), answered('PUT', 400, 1, 2))
    story.pull(PLACE, 3, 4, 416)
    assert story.kinds == [judge_module.WRONGLY_REFUSED] * 2


def test_something_deleted_that_is_back_is_reported(story):
    story.write(1, 2, blob=THERE)
    story.write(3, 4, blob=None)
    story.pull(PLACE, 5, 6)
    assert story.kinds == [judge_module.BACK]


def test_a_tag_of_a_deleted_manifest_that_is_back_is_reported(story):
    story.write(1, 2, tag=DIGEST, manifest=THERE)
    story.write(3, 4, manifest=None)
    story.write(5, 6, manifest=THERE)
    story.pull_tag(DIGEST, 7, 8)
    assert story.kinds == [judge_module.BACK]


def test_an_old_value_of_a_tag_is_reported(story):
    story.write(1, 2, tag=DIGEST)
    story.write(3, 4, tag=OTHER)
    story.pull_tag(DIGEST, 5, 6)
    assert story.kinds == [judge_module.OLD]


def test_an_uncertain_write_that_takes_effect_too_late_is_reported(story):
    story.write(1, 2, UNCERTAIN, tag=OTHER)
    story.write(3 + LATE, 4 + LATE, tag=DIGEST)
    story.pull_tag(OTHER, 5 + LATE, 6 + LATE)
    assert story.kinds == [judge_module.OLD]


def test_a_value_that_nobody_pushed_is_reported(story):
    story.write(1, 2, tag=DIGEST)
    story.pull_tag('sha256:' + 'c' * 64, 3, 4)
    assert story.kinds == [judge_module.UNKNOWN]


def test_wrong_bytes_are_reported(story):
    story.write(1, 2, blob=THERE)
    story.pull(PLACE, 3, 4, 200, problem='99 bytes are not the blob')
    assert story.kinds == [judge_module.WRONG_BYTES]


def test_a_listing_without_an_acknowledged_tag_is_reported(story):
    story.ledger.set_agreed(3)
    story.write(1, 2, tag=DIGEST)
    story.list_tags([], 4, 5)
    assert story.kinds == [judge_module.NOT_LISTED]


def test_a_listing_with_a_deleted_tag_is_reported(story):
    story.ledger.set_agreed(5)
    story.write(1, 2, tag=DIGEST)
    story.write(3, 4, tag=None)
    story.list_tags(['v1'], 6, 7)
    assert story.kinds == [judge_module.LISTED]


def test_a_listing_with_an_unknown_tag_is_reported(story):
    story.write(1, 2, tag=DIGEST)
    story.list_tags(['v1', 'v2'], 3, 4)
    assert story.kinds == [judge_module.UNKNOWN]


def test_a_listing_that_is_not_json_is_reported(story):
    story.write(1, 2, tag=DIGEST)
    answer = answered('GET', 200, 3, 4, b'{"tags": ["v')
    story.judge.listed('list', TAGS, [TAGGED], names_in(answer, TAG), answer, 3)
    assert story.kinds == [judge_module.WRONG_BYTES]


def test_a_404_for_a_listing_says_that_there_are_no_tags(story):
    story.write(1, 2, tag=DIGEST)
    answer = answered('GET', 404, 3, 4)
    story.judge.listed('list', TAGS, [TAGGED], names_in(answer, TAG), answer, 3)
    assert story.kinds == [judge_module.NOT_LISTED]


def test_a_referrer_that_is_not_listed_is_reported(story):
    story.write(1, 2, referrer=THERE)
    answer = answered('GET', 200, 3, 4, b'{"manifests": []}')
    story.judge.listed('list', KEYS['referrer'], [KEYS['referrer']], names_in(answer, REFERRER), answer, 3)
    assert story.kinds == [judge_module.NOT_LISTED]


def test_after_an_uncertain_write_the_listing_has_to_say_what_a_pull_said(story):
    story.write(1, 2, UNCERTAIN, tag=DIGEST)
    story.judge.undecided = {TAGGED}
    story.ledger.pin(TAGGED, None, 1000)
    story.list_tags(['v1'], 1001, 1002)
    assert story.kinds == [judge_module.DISAGREE]


def test_silence_of_a_healthy_swift_is_reported(story):
    story.judge.unavailable(PLACE, 1)
    assert story.kinds == [judge_module.UNAVAILABLE]


def test_the_story_of_a_violation_has_its_writes_and_the_faults_around_them(story):
    story.write(1, 2, tag=DIGEST, manifest=THERE)
    story.pull_tag(None, 100, 101)
    timeline = [(0.5, 1.5, 'a node killed'), (50, 60, 'a proxy killed')]
    text = '\n'.join(report.violation_as_text(dataclasses.asdict(story.judge.violations[0]), timeline))
    assert 'fault: 0.500 to 1.500: a node killed' in text
    assert f'write: 1.000 to 2.000: {DIGEST[:19]}, acknowledged' in text
    assert 'proxy' not in text


def test_every_kind_of_violation_is_tested_here():
    source = ''.join(path.read_text() for path in pathlib.Path(__file__).parent.glob('test_*.py'))
    names = [name for name, value in vars(judge_module).items() if name.isupper() and value in judge_module.KINDS]
    assert [name for name in names if f'judge_module.{name}' not in source] == []
