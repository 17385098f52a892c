"""`registry-swift retain`: what the rules keep, what goes, and what somebody pushes meanwhile."""

import json
import pathlib

import pytest

from docker_registry.v2.operations import retention, retention_rules
from docker_registry.v2.registry import formats, layout, names
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.settings.config import Config
from registry_client import as_json, descriptor, digest_of, image
from registry_process import environment, run

EXAMPLE = pathlib.Path(__file__).parents[3] / 'deploy' / 'retention.yaml'
DAY = 86400
SUBJECT = image(b'{}', b'subject')


@pytest.fixture
def domain(place):
    return Domain(place.storage(), Config())


@pytest.fixture
def retain(domain, monkeypatch):
    """A function that applies rules. It returns {tag or digest: why} of all that went, and of all that stayed.

    :param after: days that have passed since everything was pushed
    """

    def retain(rules, after=0.0, dry_run=False):
        outcomes = []
        with monkeypatch.context() as patch:
            now = domain.storage.clock() + 2 + after * DAY  # Swift's Date may be a second late
            patch.setattr(domain.storage, 'clock', lambda: now)
            retention.Retention(domain, retention_rules.parse(rules, 'rules'), dry_run, outcomes.append).run()
        parts = {True: {}, False: {}}
        for outcome in outcomes:
            parts[outcome.has_gone][outcome.verdict.tag or str(outcome.verdict.digest)] = outcome.why
        return parts[True], parts[False]

    return retain


@pytest.fixture
def aged(fake_place):
    """A function that makes what was just written of a tag, or of a manifest, some days older."""

    def aged(days, *parts, repository='a'):
        for path, found in fake_place.objects.items():
            if path.startswith(f'docker/registry/v2/repositories/{repository}/_') and all(part in path for part in parts):
                found.timestamp -= days * DAY

    return aged


@pytest.fixture
def fake_domain(fake_place):
    return Domain(fake_place.storage(), Config())


@pytest.fixture
def fake_retain(fake_domain):
    def retain(rules, dry_run=False):
        outcomes = []
        retention.Retention(fake_domain, retention_rules.parse(rules, 'rules'), dry_run, outcomes.append).run()
        return {outcome.verdict.tag or str(outcome.verdict.digest) for outcome in outcomes if outcome.has_gone}

    return retain


def tags_of(registry, repository='a'):
    return registry('GET', f'/v2/{repository}/tags/list').json.get('tags')


def has(registry, reference, repository='a'):
    return registry('HEAD', f'/v2/{repository}/manifests/{reference}').status_code == 200


def rule(keep, more='', repositories='"**"'):
    return f'rules: [{{repositories: {repositories}, keep: {keep}{more and ", " + more}}}]'


# Tags


def test_the_newest_tags_stay(fake_place, fake_registry, fake_retain, aged):
    for days, tag in enumerate(('today', 'yesterday', 'before', 'long-ago')):
        fake_registry.push_image('a', tag, tag.encode())
        aged(days, f'/tags/{tag}/')

    assert fake_retain(rule('{newest: 2}')) == {'before', 'long-ago'}
    assert tags_of(fake_registry) == ['today', 'yesterday']


def test_young_tags_stay(fake_registry, fake_retain, aged):
    for days, tag in ((29, 'young'), (31, 'old')):
        fake_registry.push_image('a', tag, tag.encode())
        aged(days, f'/tags/{tag}/')

    assert fake_retain(rule('{younger-than: 30d}')) == {'old'}


def test_tags_that_match_stay(registry, retain):
    for tag in ('latest', 'v1.0', 'pr-1', 'nightly'):
        registry.push_image('a', tag, tag.encode())

    gone, kept = retain(rule('{matching: [latest, "v*"]}'), after=400)

    assert gone == {'pr-1': 'matches no pattern (line 1)', 'nightly': 'matches no pattern (line 1)'}
    assert kept == {'latest': 'matches latest (line 1)', 'v1.0': 'matches v* (line 1)'}


def test_one_reason_to_keep_a_tag_is_enough(fake_registry, fake_retain, aged):
    for days, tag in ((40, 'v1'), (0, 'new'), (20, 'young'), (50, 'old')):
        fake_registry.push_image('a', tag, tag.encode())
        aged(days, f'/tags/{tag}/')

    assert fake_retain(rule('{newest: 1, younger-than: 30d, matching: v1}')) == {'old'}


def test_a_manifest_stays_when_its_tag_goes(registry, retain):
    digest = registry.push_image('a', 'v1', b'layer')

    assert set(retain(rule('none'))[0]) == {'v1'}
    assert tags_of(registry) == []
    assert has(registry, digest)


def test_a_repository_that_no_rule_names_is_left_alone(registry, retain):
    for repository in ('team/app', 'team/app/nested', 'other'):
        registry.push_image(repository, 'v1', b'layer')

    assert retain(rule('none', repositories='"team/*"')) == ({'v1': 'keep: none (line 1)'}, {})
    assert [tags_of(registry, name) for name in ('team/app', 'team/app/nested', 'other')] == [[], ['v1'], ['v1']]


def test_the_first_rule_that_names_a_tag_decides(registry, retain):
    for tag in ('pr-1', 'keep-1', 'v1'):
        registry.push_image('a', tag, b'layer')
    text = """
rules:
- {repositories: a, tags: keep-*, keep: all}
- {repositories: a, tags: [pr-*, keep-*], keep: none}
- {repositories: b, keep: none}
"""

    gone, kept = retain(text)

    assert gone == {'pr-1': 'keep: none (line 4)'}
    assert kept == {'keep-1': 'keep: all (line 3)', 'v1': 'no rule names it'}


def test_tags_of_other_rules_do_not_count_among_the_newest(registry, retain):
    for tag in ('a1', 'b1', 'b2'):
        registry.push_image('a', tag, b'layer')

    gone, _ = retain('rules:\n- {repositories: a, tags: b*, keep: all}\n- {repositories: a, keep: {newest: 1}}')

    assert gone == {}


# Untagged manifests


def test_an_untagged_manifest_goes_after_its_time(registry, retain):
    digest = registry.push_image('a', digest_of(as_json(image(b'{}', b'layer'))), b'layer')

    assert retain(rule('all', 'untagged: 7d'), after=6.9)[1] == {digest: 'without a tag for less than 7d (line 1)'}
    assert has(registry, digest)
    assert retain(rule('all', 'untagged: 7d'), after=7.1)[0] == {digest: 'without a tag for 7d or more (line 1)'}
    assert not has(registry, digest)


def test_without_a_rule_for_untagged_manifests_they_stay(registry, retain):
    digest = registry.push_image('a', digest_of(as_json(image(b'{}', b'layer'))), b'layer')

    assert retain(rule('none'), after=1000) == ({}, {})
    assert has(registry, digest)


def test_a_manifest_that_loses_its_tag_counts_as_untagged_from_then_on(fake_place, fake_registry, fake_retain, aged):
    digest = fake_registry.push_image('a', 'v1', b'layer')
    aged(400, '')

    assert fake_retain(rule('none', 'untagged: 7d')) == {'v1'}
    aged(6.9, '/_untagged/')
    assert fake_retain(rule('none', 'untagged: 7d')) == set()
    aged(0.2, '/_untagged/')
    assert fake_retain(rule('none', 'untagged: 7d')) == {digest}
    assert not [path for path in fake_place.objects if '/_untagged/' in path]


def test_a_manifest_whose_tag_has_moved_counts_as_untagged_from_then_on(fake_registry, fake_retain, aged):
    first = fake_registry.push_image('a', 'v1', b'first')
    aged(300, '')
    second = fake_registry.push_image('a', 'v1', b'second')
    aged(100, '')

    assert fake_retain(rule('all', 'untagged: 101d')) == set()
    fake_registry.push_image('a', 'v1', b'third')
    assert fake_retain(rule('all', 'untagged: 99d')) == {first}
    assert has(fake_registry, second)


def test_the_images_of_an_index_stay_with_it_and_go_with_it(registry, retain):
    child = as_json(image(b'{}', b'child'))
    registry.push_image('a', digest_of(child), b'child')
    inner = {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': [descriptor(child, formats.OCI_IMAGE)]}
    registry.push_manifest('a', digest_of(as_json(inner)), inner, formats.OCI_INDEX)
    outer = {**inner, 'manifests': [descriptor(as_json(inner), formats.OCI_INDEX)]}
    registry.push_manifest('a', 'multi', outer, formats.OCI_INDEX)
    digests = [digest_of(as_json(manifest)) for manifest in (outer, inner)] + [digest_of(child)]

    gone, kept = retain(rule('{newest: 1}', 'untagged: 7d'), after=100)
    assert gone == {} and kept[digests[2]] == f'part of {digests[1]} (line 1)'
    registry('DELETE', '/v2/a/manifests/multi')
    gone, _ = retain(rule('{newest: 1}', 'untagged: 7d'), after=100)

    assert list(gone) == digests  # an index before what it names
    assert not any(has(registry, digest) for digest in digests)


def push_signature(registry, subject, content=b'signature', repository='a'):
    registry.push_blob(repository, content)
    manifest = image(b'{}', content, subject=descriptor(as_json(subject), formats.OCI_IMAGE))
    return registry.push_manifest(repository, digest_of(as_json(manifest)), manifest), manifest


def test_what_refers_to_an_image_stays_with_it_and_goes_with_it(registry, retain):
    subject = registry.push_image('a', 'v1', b'subject')
    signature, manifest = push_signature(registry, SUBJECT)
    countersignature, _ = push_signature(registry, manifest, b'countersignature')

    gone, kept = retain(rule('{newest: 1}', 'untagged: 7d'), after=100)
    assert gone == {} and set(kept) == {'v1', signature, countersignature}
    registry('DELETE', '/v2/a/manifests/v1')
    gone, _ = retain(rule('{newest: 1}', 'untagged: 7d'), after=100)

    assert list(gone) == [subject, signature, countersignature]
    assert registry('GET', f'/v2/a/referrers/{subject}').json['manifests'] == []


def test_a_signature_does_not_keep_its_image(fake_registry, fake_retain, aged):
    subject = fake_registry.push_image('a', digest_of(as_json(SUBJECT)), b'subject')
    aged(100, '')
    signature, _ = push_signature(fake_registry, SUBJECT)

    assert fake_retain(rule('all', 'untagged: 7d')) == {subject}
    assert has(fake_registry, signature)


def test_nothing_untagged_goes_if_a_manifest_cannot_be_read(registry, retain):
    damaged = names.digest(registry.push_image('a', 'v1', b'damaged'))
    untagged = registry.push_image('a', digest_of(as_json(SUBJECT)), b'subject')
    registry.storage.remove(layout.blob(damaged))

    gone, kept = retain(rule('all', 'untagged: 7d'), after=100)

    assert gone == {} and kept[untagged] == f'{damaged} cannot be read, and may name it (line 1)'
    assert has(registry, untagged)


# Fallback tags


def fallback_tag(manifest):
    return layout.referrers_tag(names.digest(digest_of(as_json(manifest))))


@pytest.fixture
def signed(registry):
    """An image with signatures as clients keep them without a list of referrers, and as cosign does."""
    registry.push_image('a', 'v1', b'subject')
    digest, manifest = push_signature(registry, SUBJECT)
    index = {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': [descriptor(as_json(manifest), formats.OCI_IMAGE)]}
    registry.push_manifest('a', fallback_tag(SUBJECT), index, formats.OCI_INDEX)
    registry.push_image('a', fallback_tag(SUBJECT) + '.sig', b'cosign')
    return [fallback_tag(SUBJECT), fallback_tag(SUBJECT) + '.sig']


def test_fallback_tags_stay_with_the_image_and_are_none_of_the_newest(registry, retain, signed):
    gone, _ = retain(rule('{newest: 1}', 'untagged: 7d, orphans: 7d'), after=100)

    assert gone == {}
    assert tags_of(registry) == [*signed, 'v1']


def test_fallback_tags_go_with_the_image(registry, retain, signed):
    subject = digest_of(as_json(SUBJECT))
    registry('DELETE', '/v2/a/manifests/v1')

    gone, _ = retain(rule('{newest: 1}', 'untagged: 7d'), after=100)

    assert set(gone) == {subject, *signed}
    assert gone[signed[0]] == f'goes with {subject}'
    assert tags_of(registry) == []
    assert registry('GET', f'/v2/a/manifests/{digest_of(as_json(image(b"{}", b"cosign")))}').status_code == 200  # untagged from now on
    retain(rule('{newest: 1}', 'untagged: 7d'), after=200)
    assert not has(registry, digest_of(as_json(image(b'{}', b'cosign'))))


def test_fallback_tags_of_what_is_not_here_stay_unless_a_rule_has_orphans(registry, retain, signed):
    registry('DELETE', f'/v2/a/manifests/{digest_of(as_json(SUBJECT))}')

    assert set(retain(rule('none'), after=100)[1]) == set(signed)
    assert set(retain(rule('none', 'orphans: 101d'), after=100)[1]) == set(signed)
    assert set(retain(rule('none', 'orphans: 99d'), after=100)[0]) == set(signed)


# What happens meanwhile


def interfering(domain, monkeypatch, part, act):
    """Let something happen just before the first delete of an object with `part` in its path."""
    discard, done = domain.storage.discard, []

    def discarding(path):
        if part in path and not done:
            done.append(path)
            act()
        return discard(path)

    monkeypatch.setattr(domain.storage, 'discard', discarding)
    return done


@pytest.mark.parametrize('pushed, stays', [('v1', 'v1'), ('v2', 'v2')])
def test_a_tag_that_is_pushed_again_meanwhile_stays(registry, domain, retain, monkeypatch, pushed, stays):
    """The newest is deleted first. So v1 has not been looked at again when it is pushed, and v2 has."""
    monkeypatch.setattr(retention, 'TAGS_AT_A_TIME', 1)
    registry.push_image('a', 'v1', b'layer')
    registry.push_image('a', 'v2', b'layer')
    digests = []
    interfering(domain, monkeypatch, '/tags/v2/current/link', lambda: digests.append(registry.push_image('a', pushed, b'new')))

    gone, kept = retain(rule('none'))

    assert set(gone) == {'v1', 'v2'} - {stays}
    assert kept == {stays: 'pushed or needed since it was looked at'}
    assert registry('GET', f'/v2/a/manifests/{stays}').headers['Docker-Content-Digest'] == digests[0]


#: What somebody pushes before which delete. A push by digest just before its link is deleted has shown nothing: the client gets an error
#: when it pushes the index, and begins again.
BEFORE_A_TAG, BEFORE_A_MANIFEST = '/current/link', '/revisions/'
NEEDS = [*((name, BEFORE_A_TAG) for name in ('image', 'index', 'digest')), *((name, BEFORE_A_MANIFEST) for name in ('image', 'index'))]


@pytest.mark.parametrize('name, part', NEEDS)
def test_an_untagged_manifest_that_somebody_needs_meanwhile_stays(registry, domain, retain, monkeypatch, name, part):
    content = as_json(SUBJECT)
    registry.push_image('a', digest_of(content), b'subject')
    registry.push_image('a', 'old', b'old')
    index = {'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': [descriptor(content, formats.OCI_IMAGE)]}
    pushes = {
        'image': lambda: registry.push_manifest('a', 'new', content),
        'index': lambda: registry.push_manifest('a', 'new', index, formats.OCI_INDEX),
        'digest': lambda: registry.push_manifest('a', digest_of(content), content),
    }
    done = interfering(domain, monkeypatch, part, pushes[name])

    gone, kept = retain(rule('{newest: 1, matching: new}' if part == '/revisions/' else 'none', 'untagged: 7d'), after=100)

    assert done and digest_of(content) not in gone
    assert has(registry, digest_of(content))


def test_a_manifest_whose_new_tag_no_listing_shows_yet_stays(fake_place, fake_registry, fake_retain, aged):
    digest = fake_registry.push_image('a', digest_of(as_json(SUBJECT)), b'subject')
    aged(100, '')
    fake_place.server.lag_listing(fake_place.container)
    fake_registry.push_image('a', 'new', b'subject')

    assert fake_retain(rule('none', 'untagged: 7d')) == set()
    assert has(fake_registry, 'new') and has(fake_registry, digest)


def test_a_dry_run_says_the_same_and_deletes_nothing(place, registry, retain, signed):
    registry.push_image('a', 'v2', b'other')
    registry('DELETE', '/v2/a/manifests/v1')
    before = [stat.path for stat in place.storage().walk()]

    said = retain(rule('none', 'untagged: 7d, orphans: 7d'), after=100, dry_run=True)

    assert [stat.path for stat in place.storage().walk()] == before
    assert retain(rule('none', 'untagged: 7d, orphans: 7d'), after=100) == said


# The command


@pytest.fixture
def environ(place):
    return environment(place.server, OS_CONTAINER=place.container)


def test_the_command_with_the_example(place, registry, environ):
    for number in range(12):
        registry.push_image('team/app', f'build-{number}', b'layer')
    registry.push_image('other', 'v1', b'layer')

    status, output, errors = run('retain', '--rules', EXAMPLE, '--dry-run', environ=environ)

    assert (status, errors) == (0, '')
    *lines, summary = output.splitlines()
    assert len(lines) == 12 and all('keep' in line and '(line ' in line for line in lines)
    assert summary.startswith('1 repositories: 0 tags would be deleted, 12 kept;')
    assert '1 repositories that no rule names' in summary


def test_the_command_in_json(registry, environ, tmp_path):
    digest = registry.push_image('a', 'v1', b'layer')
    (tmp_path / 'rules.yaml').write_text(rule('none'))

    status, output, errors = run('retain', '--rules', tmp_path / 'rules.yaml', '--yes', '--json', environ=environ)

    assert (status, errors) == (0, '')
    found, summary = map(json.loads, output.splitlines())
    assert found.pop('age') < 60
    assert found == {'repository': 'a', 'tag': 'v1', 'digest': digest, 'action': 'delete', 'why': 'keep: none (line 1)'}
    assert summary['summary']['tags_deleted'] == 1
    assert tags_of(registry) == []


@pytest.mark.parametrize('arguments, why', [(['--yes'], 'line 1'), (['--dry-run'], 'line 1')])
def test_wrong_rules_are_one_line_and_nothing_goes(fake_place, fake_registry, tmp_path, arguments, why):
    fake_registry.push_image('a', 'v1', b'layer')
    (tmp_path / 'rules.yaml').write_text('rules: [{repositories: a, keep: }]')
    environ = environment(fake_place.server, OS_CONTAINER=fake_place.container)

    status, output, errors = run('retain', '--rules', tmp_path / 'rules.yaml', *arguments, environ=environ)

    assert (status, output, errors.count('\n')) == (1, '', 1) and why in errors
    assert tags_of(fake_registry) == ['v1']


def test_without_a_terminal_it_needs_to_be_told_that_it_may_delete(fake_place, fake_registry, tmp_path):
    fake_registry.push_image('a', 'v1', b'layer')
    (tmp_path / 'rules.yaml').write_text(rule('none'))
    environ = environment(fake_place.server, OS_CONTAINER=fake_place.container)

    status, output, errors = run('retain', '--rules', tmp_path / 'rules.yaml', environ=environ)

    assert (status, output) == (1, '') and '--yes' in errors
    assert tags_of(fake_registry) == ['v1']
