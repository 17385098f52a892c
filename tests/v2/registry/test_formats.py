"""What the registry reads in a manifest, and which manifests it refuses."""

import pytest

from docker_registry.v2.registry import errors, formats
from docker_registry.v2.registry.names import Digest
from registry_client import as_json, descriptor, image

CONFIG, LAYER = b'{}', b'a layer'
UNKNOWN = 'application/vnd.example.thing.v7+json'
SCHEMA_1 = 'application/vnd.docker.distribution.manifest.v1+json'


def reference(content):
    return Digest.of(content)


def refusal(document, media_type=''):
    """Return the message with which a manifest is refused."""
    with pytest.raises(errors.ManifestInvalid) as caught:
        formats.parse(document if isinstance(document, bytes) else as_json(document), media_type)
    return caught.value.message


# Media types

SPELLINGS = [formats.OCI_IMAGE.upper(), formats.OCI_IMAGE.title(), formats.OCI_IMAGE.replace('oci', 'OCI')]


@pytest.mark.parametrize('sent', SPELLINGS)
def test_a_content_type_in_capitals_is_the_same_type(sent):
    parsed = formats.parse(as_json(image(CONFIG)), sent + ' ; charset=utf-8')

    assert (parsed.media_type, parsed.blobs) == (formats.OCI_IMAGE, (reference(CONFIG),))


@pytest.mark.parametrize('stated', SPELLINGS)
def test_a_type_that_the_manifest_states_in_capitals_stays_as_it_is(stated):
    content = as_json(image(CONFIG, mediaType=stated))
    parsed = formats.parse(content, formats.OCI_IMAGE)

    assert (parsed.media_type, formats.media_type_of(content), parsed.blobs) == (stated, stated, (reference(CONFIG),))


def test_an_image_in_capitals_must_not_be_an_index_too():
    refusal(image(CONFIG, mediaType=formats.OCI_IMAGE.upper(), manifests=[]))


def test_a_layer_from_elsewhere_in_capitals():
    layer = descriptor(LAYER, 'Application/vnd.OCI.image.layer.nondistributable.v1.tar')

    assert formats.parse(as_json(image(CONFIG, layers=[layer]))).blobs == (reference(CONFIG),)


@pytest.mark.parametrize('sent', [SCHEMA_1, SCHEMA_1.upper(), 'application/vnd.docker.distribution.manifest.v1+PRETTYJWS'])
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
