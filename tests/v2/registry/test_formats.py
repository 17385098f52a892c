"""What the registry reads in a manifest, and which manifests it refuses."""

import pytest

from docker_registry.v2.registry import errors, formats
from registry_client import as_json

UNKNOWN = 'application/vnd.example.thing.v7+json'
SCHEMA_1 = 'application/vnd.docker.distribution.manifest.v1+json'


def refusal(document, media_type=''):
    """Return the message with which a manifest is refused."""
    with pytest.raises(errors.ManifestInvalid) as caught:
        formats.parse(document if isinstance(document, bytes) else as_json(document), media_type)
    return caught.value.message


@pytest.mark.parametrize('sent', [SCHEMA_1, 'application/vnd.docker.distribution.manifest.v1+prettyjws'])
def test_schema_1_by_its_type(sent):
    assert 'schema 1' in refusal({'schemaVersion': 1}, sent)
    assert 'schema 1' in refusal({'schemaVersion': 1, 'mediaType': sent})


@pytest.mark.parametrize('sent', ['', 'application/json'])
def test_schema_1_by_its_form(sent):
    assert 'schema 1' in refusal({'schemaVersion': 1, 'name': 'a', 'tag': 'v1', 'fsLayers': [], 'history': [], 'signatures': []}, sent)


@pytest.mark.parametrize(
    'document, sent', [({'schemaVersion': 1}, UNKNOWN), ({'schemaVersion': 1, 'mediaType': UNKNOWN}, 'application/json')]
)
def test_the_first_version_of_another_type_is_not_schema_1(document, sent):
    assert formats.parse(as_json(document), sent).media_type == UNKNOWN


@pytest.mark.parametrize('media_type', [formats.OCI_IMAGE, formats.DOCKER_IMAGE, formats.OCI_INDEX])
def test_an_image_of_version_1_is_told_the_right_version(media_type):
    assert refusal({'schemaVersion': 1}, media_type) == 'schemaVersion must be 2'
