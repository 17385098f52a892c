"""`registry-swift rm`: what goes, what stays, and what somebody pushes meanwhile."""

import json

import pytest

from docker_registry.v2.cli import main
from docker_registry.v2.operations import clearing, deletion, space, targets
from docker_registry.v2.registry import formats, layout, names
from docker_registry.v2.registry.domain import Domain
from docker_registry.v2.settings.config import Config
from registry_client import as_json, descriptor, digest_of, image
from registry_process import environment, run

REPOSITORY = 'docker/registry/v2/repositories/'


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(clearing, 'SETTLE_SECONDS', 0)


@pytest.fixture
def domain(place):
    return Domain(place.storage(), Config())


@pytest.fixture
def remove(domain):
    """A function that deletes what is named, and returns what it said and whether each is gone."""

    def remove(*texts, repositories=()):
        said = []
        done = deletion.Deletion(domain, targets.parse(texts, repositories)).run(said.append)
        return said, done

    return remove


def status_of(registry, path):
    return registry('GET', f'/v2/{path}').status_code


def tags_of(registry, repository='a'):
    return registry('GET', f'/v2/{repository}/tags/list').json.get('tags')


def paths(place, repository):
    """All objects of a repository and of those nested in it, but not of others."""
    return [stat.path[len(REPOSITORY) :] for stat in place.storage().walk(REPOSITORY + repository)]


def index(*manifests, **more):
    entries = [descriptor(content, formats.OCI_IMAGE) for content in manifests]
    return dict({'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': entries}, **more)


# Names


@pytest.mark.parametrize(
    'text, target',
    [
        ('a:v1', targets.Target('a', 'v1')),
        ('team/app:1.0-rc_2', targets.Target('team/app', '1.0-rc_2')),
        ('a@' + digest_of(b''), targets.Target('a', digest=names.digest(digest_of(b'')))),
    ],
)
def test_what_a_name_means(text, target):
    assert targets.image(text) == target
    assert str(target) == text


@pytest.mark.parametrize(
    'text', ['a', 'localhost:5000/a:v1', 'a:', ':v1', 'A:v1', 'a:v1@' + digest_of(b''), 'a@sha256:12', 'a@', '', 'a:v 1', 'a:' + 'v' * 200]
)
def test_a_name_that_means_nothing_says_what_to_write(text):
    with pytest.raises(ValueError, match='TAG'):
        targets.image(text)


def test_each_target_counts_once_and_repositories_come_last():
    digest = digest_of(b'')
    found = targets.parse([f'a@{digest}', 'a:v1', 'a:v1'], ['b'])

    assert [str(target) for target in found] == ['a:v1', f'a@{digest}', 'b']


# Tags


def test_a_tag_goes_and_its_manifest_and_its_other_tags_stay(registry, remove):
    digest = registry.push_image('a', 'v1', b'layer')
    registry.push_image('a', 'latest', b'layer')

    assert remove('a:v1') == (['deleted: a:v1'], [True])

    assert [status_of(registry, f'a/manifests/{name}') for name in ('v1', 'latest', digest)] == [404, 200, 200]
    assert tags_of(registry) == ['latest']


def test_a_tag_leaves_nothing_but_a_note_that_its_manifest_may_be_untagged(place, registry, remove):
    digest = names.digest(registry.push_image('a', 'v1', b'layer'))
    remove('a:v1')

    assert [path for path in paths(place, 'a') if '/tags/' in path] == []
    assert layout.untagged_since('a', digest)[len(REPOSITORY) :] in paths(place, 'a')


def test_a_tag_that_was_pushed_since_it_was_looked_up_stays(registry, domain):
    registry.push_image('a', 'v1', b'old')
    found = deletion.Deletion(domain, targets.parse(['a:v1']))
    digest = registry.push_image('a', 'v1', b'new')

    assert found.run(lambda line: None) == [False]
    assert registry('GET', '/v2/a/manifests/v1').headers['Docker-Content-Digest'] == digest


def test_a_tag_that_is_pushed_just_before_its_pointer_is_deleted_gets_it_back(registry, domain, monkeypatch):
    registry.push_image('a', 'v1', b'old')
    found = deletion.Deletion(domain, targets.parse(['a:v1']))
    digest = before_discard(domain, monkeypatch, '/current/link', lambda: registry.push_image('a', 'v1', b'new'))

    assert found.run(lambda line: None) == [False]
    assert registry('GET', '/v2/a/manifests/v1').headers['Docker-Content-Digest'] == digest[0]


def before_discard(domain, monkeypatch, part, act):
    """Let something happen just before the first delete of an object with `part` in its path. Return a list that gets the outcome."""
    discard, outcome = domain.storage.discard, []

    def discarding(path):
        if part in path and not outcome:
            outcome.append(None)
            outcome[0] = act()
        return discard(path)

    monkeypatch.setattr(domain.storage, 'discard', discarding)
    return outcome


def test_a_damaged_tag_can_be_deleted(fake_place, fake_registry):
    fake_registry.push_image('a', 'v1', b'layer')
    fake_place.server.put(fake_place.container, f'files/{REPOSITORY}a/_manifests/tags/v1/current/link', b'sha256:half')
    domain = Domain(fake_place.storage(), Config())

    found = deletion.Deletion(domain, targets.parse(['a:v1']))
    assert 'damaged' in found.steps[0].remarks[0]
    assert found.run(lambda line: None) == [True]
    assert [path for path in paths(fake_place, 'a') if '/tags/' in path] == []


# Manifests


def test_a_manifest_goes_with_all_its_tags_which_are_named_before(registry, domain):
    digest = registry.push_image('a', 'v1', b'layer')
    registry.push_image('a', 'latest', b'layer')
    registry.push_image('a', 'v2', b'other')

    found = deletion.Deletion(domain, targets.parse([f'a@{digest}']))
    assert found.steps[0].remarks == ['these tags go with it: latest, v1']
    assert found.run(lambda line: None) == [True]

    assert [status_of(registry, f'a/manifests/{name}') for name in ('v1', 'latest', digest, 'v2')] == [404, 404, 404, 200]
    assert tags_of(registry) == ['v2']


def test_what_names_a_manifest_and_what_it_names_is_said_before(registry, domain):
    child = as_json(image(b'{}'))
    registry.push_image('a', digest_of(child))
    registry.push_manifest('a', 'multi', index(child), formats.OCI_INDEX)
    parent = digest_of(as_json(index(child)))
    signature = registry.push_manifest('a', 'signature', image(b'{}', subject=descriptor(child, formats.OCI_IMAGE)))

    (step,) = deletion.Deletion(domain, targets.parse([f'a@{digest_of(child)}'])).steps
    assert step.facts == {'tags': [], 'named_by': [parent], 'names': [], 'referrers': [signature]}
    assert f'{parent} (multi) names it' in '\n'.join(step.remarks)
    (step,) = deletion.Deletion(domain, targets.parse([f'a@{parent}'])).steps
    assert step.facts['names'] == [digest_of(child)]


def test_an_index_goes_before_the_image_that_it_names(registry, remove):
    child = as_json(image(b'{}'))
    registry.push_image('a', digest_of(child))
    parent = registry.push_manifest('a', 'multi', index(child), formats.OCI_INDEX)

    said, done = remove(f'a@{digest_of(child)}', f'a@{parent}')

    assert said == ['deleted: a:multi', f'deleted: a@{parent}', f'deleted: a@{digest_of(child)}']
    assert done == [True, True]


def test_a_deleted_referrer_is_in_no_list(place, registry, remove):
    digest = registry.push_image('a', 'v1')
    signature = registry.push_manifest('a', 'signature', image(b'{}', subject=descriptor(as_json(image(b'{}')), formats.OCI_IMAGE)))
    remove(f'a@{signature}')

    assert registry('GET', f'/v2/a/referrers/{digest}').json['manifests'] == []
    assert [path for path in paths(place, 'a') if '_referrers' in path or 'signature' in path] == []


def test_a_manifest_that_was_pushed_since_it_was_looked_up_stays(registry, domain):
    digest = registry.push_image('a', 'v1', b'layer')
    found = deletion.Deletion(domain, targets.parse([f'a@{digest}']))
    registry.push_image('a', 'v2', b'layer')

    assert found.run(lambda line: None) == [False]
    assert status_of(registry, 'a/manifests/v2') == 200


@pytest.mark.parametrize('reference', ['v2', None])
def test_a_manifest_that_is_pushed_while_it_is_deleted_stays(registry, domain, monkeypatch, reference):
    """Its link is deleted after the push has written it. A tag, or an index that names it, shows that."""
    child = as_json(image(b'{}'))
    registry.push_image('a', digest_of(child))
    found = deletion.Deletion(domain, targets.parse([f'a@{digest_of(child)}']))

    def push():
        if reference:
            registry.push_manifest('a', reference, child)
        else:
            registry.push_manifest('a', 'multi', index(child), formats.OCI_INDEX)

    before_discard(domain, monkeypatch, '/revisions/', push)

    assert found.run(lambda line: None) == [False]
    assert status_of(registry, f'a/manifests/{reference or "multi"}') == 200
    assert status_of(registry, f'a/manifests/{digest_of(child)}') == 200
    registry.push_manifest('a', 'v3', child)
    assert {reference or 'multi', 'v3'} <= set(tags_of(registry))


# Repositories


def test_a_repository_goes_completely_and_no_other(place, registry, remove):
    for repository in ('a', 'a/nested', 'a-b', 'b'):
        registry.push_image(repository, 'v1', b'layer')
    registry.push_image('a', 'v2', b'more')
    registry.push_manifest('a', 'signature', image(b'{}', subject=descriptor(as_json(image(b'{}', b'more')), formats.OCI_IMAGE)))
    registry.push_manifest('a', 'untyped', {key: value for key, value in image(b'{}').items() if key != 'mediaType'})
    registry.storage.put_content(REPOSITORY + 'a/_uploads/1/data', b'of CNCF distribution')
    registry.storage.put_content(REPOSITORY + 'a/_manifests/tags/broken/index/sha256/' + 64 * 'f' + '/link', b'')
    before = set(paths(place, 'a/nested')) | set(paths(place, 'b'))

    said, done = remove(repositories=['a'])

    assert done == [True]
    assert paths(place, 'a') == paths(place, 'a/nested')
    assert set(paths(place, 'a/nested')) | set(paths(place, 'b')) == before
    assert registry('GET', '/v2/_catalog').json['repositories'] == ['a-b', 'a/nested', 'b']
    assert status_of(registry, 'a/tags/list') == 404
    assert [status_of(registry, f'{name}/manifests/v1') for name in ('a/nested', 'a-b', 'b')] == [200, 200, 200]


def test_a_repository_that_nobody_can_read_any_more_goes_too(place, registry, remove):
    """A manifest whose bytes are lost, and a tag whose manifest is."""
    digest = names.digest(registry.push_image('a', 'v1', b'layer'))
    other = names.digest(registry.push_image('a', 'v2', b'other'))
    registry.storage.remove(layout.blob(digest))
    registry.storage.discard(layout.revision_link('a', other))

    assert remove(repositories=['a'])[1] == [True]
    assert paths(place, 'a') == []


@pytest.mark.parametrize('part', ['/current/link', '/revisions/', '/_layers/'])
def test_an_image_that_is_pushed_into_a_repository_while_that_is_deleted_stays(place, registry, domain, monkeypatch, part):
    registry.push_image('a', 'old', b'layer')
    found = deletion.Deletion(domain, targets.parse([], ['a']))
    # The layers are there already, so the client does not push them again. The instance remembers that it has seen them.
    another = place.registry()
    assert [another('HEAD', f'/v2/a/blobs/{digest_of(content)}').status_code for content in (b'{}', b'layer')] == [200, 200]
    pushed = before_discard(domain, monkeypatch, part, lambda: another.push_manifest('a', 'new', image(b'{}', b'layer')))

    assert found.run(lambda line: None) == [False]

    assert tags_of(registry) == ['new']
    assert registry('GET', '/v2/a/manifests/new').headers['Docker-Content-Digest'] == pushed[0]
    assert [status_of(registry, f'a/blobs/{digest_of(content)}') for content in (b'{}', b'layer')] == [200, 200]


def test_a_repository_whose_deletion_was_interrupted_can_be_deleted_again(registry, domain, remove, monkeypatch):
    registry.push_image('a', 'v1', b'layer')
    registry.push_image('a', 'v2', b'other')
    steps = ['/current/link', '/revisions/', '/_layers/', '/_deleted/']
    for part in steps:

        def fail():
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            before_discard(domain, patch, part, fail)
            remove(repositories=['a'])

    assert remove(repositories=['a'])[1] == [True]
    assert registry('GET', '/v2/_catalog').json['repositories'] == []


# Names that are not there


def test_nothing_is_deleted_if_anything_is_missing(registry, domain):
    registry.push_image('a', 'v1', b'layer')
    digest = digest_of(b'nothing')

    with pytest.raises(deletion.NotThere) as error:
        deletion.Deletion(domain, targets.parse(['a:v1', 'a:v2', f'a@{digest}'], ['b', 'a']))

    assert str(error.value).splitlines() == ['there is no a:v2', f'there is no a@{digest}', 'there is no b']
    assert tags_of(registry) == ['v1']


# Space


@pytest.mark.parametrize('size, text', [(0, '0 bytes'), (1023, '1023 bytes'), (1536, '1.5 KiB'), (5 * 1024**3, '5.0 GiB')])
def test_an_amount_of_space(size, text):
    assert space.text(size) == text


def test_the_space_of_a_manifest_is_what_no_other_manifest_names(registry, domain):
    digest = registry.push_image('a', 'v1', b'common', b'own layer')
    registry.push_image('a', 'v2', b'common')
    registry.push_image('b', 'v1', b'own layer')
    size = len(as_json(image(b'{}', b'common', b'own layer')))

    found = deletion.Deletion(domain, targets.parse([f'a@{digest}']))

    assert found.freed(exactly=False) == size + len(b'own layer')
    assert found.freed(exactly=True) == size


def test_the_space_of_a_repository_is_what_no_other_repository_has(registry, domain):
    registry.push_image('a', 'v1', b'common', b'own layer')
    registry.push_blob('a', b'no manifest names this')
    registry.push_image('b', 'v1', b'common')

    found = deletion.Deletion(domain, targets.parse([], ['a']))

    size = len(as_json(image(b'{}', b'common', b'own layer')))
    assert found.freed(exactly=False) == size + len(b'{}' + b'common' + b'own layer')
    assert found.freed(exactly=True) == size + len(b'own layer')


def test_the_space_of_a_tag_is_nothing(registry, domain):
    registry.push_image('a', 'v1', b'layer')

    assert deletion.Deletion(domain, targets.parse(['a:v1'])).freed(exactly=True) == 0


# The command


@pytest.fixture
def environ(place):
    return environment(place.server, OS_CONTAINER=place.container)


def test_the_command(place, registry, environ):
    digest = registry.push_image('a', 'v1', b'layer')

    status, output, errors = run('rm', '--yes', 'a:v1', environ=environ)
    assert (status, errors) == (0, '')
    assert 'its manifest stays, without a tag' in output and 'deleted: a:v1' in output
    status, output, errors = run('rm', '--yes', '--json', f'a@{digest}', '--space', environ=environ)
    assert (status, errors) == (0, '')
    manifest, freed = map(json.loads, output.splitlines())
    assert (manifest['manifest'], manifest['outcome']) == (f'a@{digest}', 'deleted')
    assert freed['bytes'] > 0


def test_without_a_terminal_it_needs_to_be_told_that_it_may_delete(fake_place, fake_registry):
    fake_registry.push_image('a', 'v1', b'layer')
    environ = environment(fake_place.server, OS_CONTAINER=fake_place.container)

    status, output, errors = run('rm', 'a:v1', environ=environ)

    assert (status, output) == (1, '')
    assert '--yes' in errors and errors.count('\n') == 1
    assert tags_of(fake_registry) == ['v1']


@pytest.mark.parametrize('answer, status', [('y\n', 0), ('yes\n', 0), ('n\n', 1), ('\n', 1), ('', 1)])
def test_at_a_terminal_it_shows_what_would_go_and_asks(fake_place, fake_registry, monkeypatch, capsys, answer, status):
    fake_registry.push_image('a', 'v1', b'layer')
    fake_registry.push_image('a', 'v2', b'layer')
    for name, value in environment(fake_place.server, OS_CONTAINER=fake_place.container).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr('sys.stdin', Terminal(answer))

    assert main(['rm', 'a:v1']) == status

    output = capsys.readouterr().out
    assert output.index('its manifest stays, with the tags v2') < output.index('Delete this? [y/N]')
    assert tags_of(fake_registry) == (['v2'] if status == 0 else ['v1', 'v2'])


class Terminal:
    def __init__(self, answer):
        self.answer = answer

    def isatty(self):
        return True

    def readline(self):
        return self.answer


@pytest.mark.parametrize('arguments', [['a'], ['a:v1', 'a@sha256:1'], [], ['--repository', 'a:v1'], ['a:v9']])
def test_a_wrong_name_is_one_line_and_status_1(fake_place, fake_registry, arguments):
    fake_registry.push_image('a', 'v1', b'layer')

    status, output, errors = run('rm', '--yes', *arguments, environ=environment(fake_place.server, OS_CONTAINER=fake_place.container))

    assert (status, output, errors.count('\n')) == (1, '', 1)
    assert tags_of(fake_registry) == ['v1']


def test_an_interrupted_command_says_so_in_one_line(fake_place, fake_registry, monkeypatch, capsys):
    fake_registry.push_image('a', 'v1', b'layer')
    for name, value in environment(fake_place.server, OS_CONTAINER=fake_place.container).items():
        monkeypatch.setenv(name, value)

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(deletion.time, 'sleep', interrupt)

    assert main(['rm', '--yes', '--repository', 'a']) == 130
    assert capsys.readouterr().err == 'registry-swift: interrupted\n'


@pytest.mark.parametrize('path', ['/v2/a', '/v2/a/', '/v2/a/tags/list', '/v2/_catalog'])
def test_no_request_deletes_a_repository(registry, path):
    registry.push_image('a', 'v1', b'layer')

    assert registry('DELETE', path).status_code in (404, 405)
    assert tags_of(registry) == ['v1']
