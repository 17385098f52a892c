"""The files in deploy/kubernetes/ are what Kubernetes accepts, by the schemas that it publishes. Nothing is loaded from the network."""

import copy
import pathlib

import kubernetes_validate
import pytest
import yaml

import bases

FILES = sorted((pathlib.Path(bases.CHECKOUT) / 'deploy' / 'kubernetes').glob('*.yaml'))
VERSIONS = ('1.27', kubernetes_validate.latest_version())
MONITOR = next(path for path in FILES if path.name == 'servicemonitor.yaml')
DOCUMENTS = [document for path in FILES if path != MONITOR for document in yaml.safe_load_all(path.read_text())]


@pytest.mark.parametrize('version', VERSIONS)
@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda document: f'{document["kind"]} {document["metadata"]["name"]}')
def test_kubernetes_accepts_a_document(document, version):
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda document: f'{document["kind"]} {document["metadata"]["name"]}')
def test_a_key_that_is_misspelt_would_be_found(document):
    changed = copy.deepcopy(document)
    changed.get('spec', changed)['replica'] = 2

    with pytest.raises(kubernetes_validate.ValidationError, match='replica'):
        kubernetes_validate.validate(changed, VERSIONS[-1], strict=True)


def as_the_operator_reads_it(document):
    """Return what the Prometheus operator keeps of a document: Kubernetes drops what its definition does not name."""
    from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor  # takes seconds

    return ServiceMonitor.model_validate(document).model_dump(mode='json', by_alias=True, exclude_unset=True)


def test_the_prometheus_operator_accepts_the_monitor():
    document = yaml.safe_load(MONITOR.read_text())

    assert as_the_operator_reads_it(document) == document


@pytest.mark.parametrize('key, value', [('prot', 'metrics'), ('interval', 'often')])
def test_a_mistake_in_the_monitor_would_be_found(key, value):
    document = yaml.safe_load(MONITOR.read_text())
    document['spec']['endpoints'][0][key] = value

    try:
        assert as_the_operator_reads_it(document) != document
    except ValueError as error:
        assert key in str(error)
