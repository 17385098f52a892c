"""What the registry reads in a manifest, and which manifests it refuses."""

import json

import pytest
from hypothesis import given, settings, strategies

from docker_registry.v2.registry import errors, formats
from docker_registry.v2.registry.formats import Reference
from docker_registry.v2.registry.names import Digest
from registry_client import as_json, descriptor, digest_of, image

CONFIG, LAYER = b'{}', b'a layer'
UNKNOWN = 'application/vnd.example.thing.v7+json'
SCHEMA_1 = 'application/vnd.docker.distribution.manifest.v1+json'


def reference(content):
    return Reference(Digest.of(content), len(content))


def index(*entries, **more):
    return dict({'schemaVersion': 2, 'mediaType': formats.OCI_INDEX, 'manifests': list(entries)}, **more)


def refusal(document, media_type=''):
    """Return the message with which a manifest is refused."""
    with pytest.raises(errors.ManifestInvalid) as caught:
        formats.parse(document if isinstance(document, bytes) else as_json(document), media_type)
    return caught.value.message


# What clients send

LAYERS = [descriptor(LAYER, 'application/vnd.docker.image.rootfs.diff.tar.gzip')]
REAL = {
    'docker schema 2': {
        'schemaVersion': 2,
        'mediaType': formats.DOCKER_IMAGE,
        'config': descriptor(CONFIG, 'application/vnd.docker.container.image.v1+json'),
        'layers': LAYERS,
    },
    'docker plugin': {
        'schemaVersion': 2,
        'mediaType': formats.DOCKER_IMAGE,
        'config': descriptor(CONFIG, 'application/vnd.docker.plugin.v1+json'),
        'layers': LAYERS,
    },
    'OCI 1.0 without mediaType': {key: value for key, value in image(CONFIG, LAYER).items() if key != 'mediaType'},
    'labels of any case': image(CONFIG, LAYER, annotations={'Foo': '1', 'foo': '2', 'Digest': 'x', 'digest': 'y', 'config': ''}),
    'helm': image(CONFIG, LAYER, annotations={'org.opencontainers.image.title': 'chart'}),
    'cosign': {
        'schemaVersion': 2,
        'mediaType': formats.OCI_IMAGE,
        'config': descriptor(CONFIG, 'application/vnd.oci.image.config.v1+json'),
        'layers': [
            descriptor(
                LAYER,
                'application/vnd.dev.cosign.simplesigning.v1+json',
                annotations={'dev.cosignproject.cosign/signature': 'MEUCIQ==', 'dev.sigstore.cosign/bundle': '{"SignedEntryTimestamp":""}'},
            )
        ],
    },
    'oras': image(
        CONFIG,
        artifactType='application/vnd.example+type',
        layers=[descriptor(CONFIG, 'application/vnd.oci.empty.v1+json', data='e30=')],
        subject=descriptor(b'subject', formats.OCI_IMAGE),
        annotations={'org.opencontainers.image.created': '2026-01-01T00:00:00Z'},
    ),
    'docker attestation index': index(
        descriptor(b'1', formats.OCI_IMAGE, platform={'architecture': 'arm', 'os': 'linux', 'variant': 'v7', 'os.features': ['x']}),
        descriptor(
            b'2',
            formats.OCI_IMAGE,
            annotations={'vnd.docker.reference.digest': digest_of(b'1'), 'vnd.docker.reference.type': 'attestation-manifest'},
            platform={'architecture': 'unknown', 'os': 'unknown'},
        ),
    ),
    'windows list': {
        'schemaVersion': 2,
        'mediaType': formats.DOCKER_LIST,
        'manifests': [descriptor(b'1', formats.DOCKER_IMAGE, platform={'architecture': 'amd64', 'os': 'windows', 'os.version': '10.0'})],
    },
    'unknown fields': image(CONFIG, LAYER, Labels={'a': 1, 'A': 2}, x=[{'Config': {}, 'config': {}}], media_type='x', **{'': None}),
    'null for nothing': image(CONFIG, annotations=None, subject=None, manifests=None, layers=None, artifactType=None),
}


@pytest.mark.parametrize('name', REAL)
def test_what_clients_send_is_accepted(name):
    formats.parse(as_json(REAL[name]), REAL[name].get('mediaType', formats.OCI_IMAGE))


# Keys and values that other readers take differently

KEYS = ['mediaType', 'digest', 'size', 'urls', 'annotations', 'data', 'platform']


@pytest.mark.parametrize(
    'document, where',
    [
        *[(image(CONFIG, LAYER, **{key: {}}), 'the manifest') for key in ('SchemaVersion', 'MEDIATYPE', 'Manifests', 'Layers', 'conFig')],
        *[
            (image(CONFIG, **{key: {}}), 'the manifest')
            for key in ('Subject', 'ArtifactType', 'Annotations', 'Blobs', 'FsLayers', 'layer\u017f')
        ],
        *[(image(CONFIG, layers=[descriptor(LAYER, 'a/b'), {key.title(): 1}]), 'layers[1]') for key in KEYS],
        (dict(image(CONFIG), config=descriptor(CONFIG, 'a/b', diGest='x')), 'config'),
        (image(CONFIG, subject=descriptor(CONFIG, 'a/b', SIZE=1)), 'subject'),
        (index(descriptor(CONFIG, 'a/b', Digest='x')), 'manifests[0]'),
        (index(descriptor(CONFIG, 'a/b', platform={'os': 'linux', 'OS': 'windows'})), 'manifests[0].platform'),
        (index(Manifests=[]), 'the manifest'),
        ({'mediaType': formats.OCI_ARTIFACT, 'blobs': [{**descriptor(CONFIG, 'a/b'), '\u017fize': 1}]}, 'blobs[0]'),
        ({'mediaType': UNKNOWN, 'MediaType': formats.OCI_IMAGE}, 'the manifest'),
    ],
)
def test_a_key_in_another_case_is_refused_with_its_place(document, where):
    assert refusal(document).startswith(f'{where} has the key ')


def test_a_stored_manifest_with_a_key_in_another_case_keeps_its_type():
    """CNCF distribution may have accepted it, and clients must be able to pull it."""
    content = as_json(image(CONFIG, Layers=[])).replace(b'{', b'{"schemaVersion": 2, ', 1)
    refusal(content)

    assert formats.media_type_of(content) == formats.OCI_IMAGE


@pytest.mark.parametrize('size', ['1e1', '1.0', '7.5', '"7"', 'true', '-1', '[7]', '9223372036854775808', '1' * 100])
def test_a_size_that_clients_cannot_read_is_refused(size):
    content = as_json(image(CONFIG, LAYER)).replace(b'"size": 7', b'"size": ' + size.encode())

    assert 'size of ' + digest_of(LAYER) in refusal(content)


@pytest.mark.parametrize('size, read', [('7', 7), ('9223372036854775807', 2**63 - 1), ('0', None), ('-0', None), ('null', None)])
def test_a_size_that_clients_can_read(size, read):
    content = as_json(image(CONFIG, LAYER)).replace(b'"size": 7', b'"size": ' + size.encode())

    assert formats.parse(content).blobs[1] == Reference(Digest.of(LAYER), read)


def test_a_descriptor_without_size():
    document = image(CONFIG)
    del document['config']['size']

    assert formats.parse(as_json(document)).blobs == (Reference(Digest.of(CONFIG)),)


@pytest.mark.parametrize('version', [2.0, '2', True, None, 1, 3])
def test_another_schema_version_than_the_number_2(version):
    refusal(image(CONFIG, schemaVersion=version), formats.OCI_IMAGE)


@pytest.mark.parametrize('stated', [0, False, [], {}])
def test_a_media_type_that_is_no_text(stated):
    refusal(image(CONFIG, mediaType=stated), formats.OCI_IMAGE)


SCRAPS = strategies.sampled_from(
    [
        *(
            'schemaVersion',
            'mediaType',
            'config',
            'layers',
            'manifests',
            'blobs',
            'subject',
            'annotations',
            'artifactType',
            'digest',
            'size',
        ),
        *(formats.OCI_IMAGE, formats.OCI_INDEX.upper(), formats.OCI_ARTIFACT, UNKNOWN, SCHEMA_1, digest_of(b''), 'platform', 'Config', ''),
        *(2, 1, 0, -1, 2.0, True, None, '\ud800', 2**64, 1e400),
    ]
)
KEY = SCRAPS.filter(lambda scrap: isinstance(scrap, str))
JUNK = strategies.recursive(SCRAPS, lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(KEY, inner, max_size=6))


@settings(max_examples=500)
@given(strategies.dictionaries(KEY, JUNK, max_size=8), SCRAPS.map(str))
def test_any_document_is_parsed_or_refused(document, content_type):
    content = json.dumps(document).replace('Infinity', '1e400').encode()
    try:
        parsed = formats.parse(content, content_type)
    except errors.RegistryError as error:
        assert error.status == 400
    else:
        assert formats.media_type_of(content) == (parsed.media_type if parsed.stated else '')


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


# What an index names


@pytest.mark.parametrize('media_type', [formats.OCI_IMAGE, formats.DOCKER_LIST.upper(), formats.OCI_ARTIFACT, SCHEMA_1])
def test_an_index_names_manifests(media_type):
    parsed = formats.parse(as_json(index(descriptor(b'1', media_type))))

    assert (parsed.manifests, parsed.blobs_or_manifests, parsed.blobs) == ((reference(b'1'),), (), ())


@pytest.mark.parametrize(
    'media_type', ['application/vnd.oci.image.layer.v1.tar+gzip', 'application/vnd.buildkit.cacheconfig.v0', UNKNOWN, '']
)
def test_an_index_names_blobs_as_a_build_cache(media_type):
    parsed = formats.parse(as_json(index(descriptor(b'1', media_type))))

    assert (parsed.manifests, parsed.blobs_or_manifests, parsed.blobs) == ((), (reference(b'1'),), ())
