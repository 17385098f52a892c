"""The replicators and updaters bring a node that was down up to date."""

import glob
import uuid


def test_without_faults_three_nodes_have_an_object_and_the_fourth_stands_in(client):
    client.put('o')

    assert [place.primary for place in client.places('o')] == [True, True, True, False]
    assert client.holders('o') == client.nodes('o')[:3]


def test_a_node_gets_the_objects_that_were_written_while_it_was_down(cluster, client):
    cluster.kill_node(2)
    names = ['o%d' % number for number in range(8)]
    client.put(*names)
    cluster.start_node(2)
    missed = [name for name in names if 2 in client.nodes(name)[:3]]
    assert missed and not any(2 in client.holders(name) for name in names)

    cluster.replicate()

    assert [name for name in names if 2 in client.holders(name)] == missed
    assert client.at(2, missed[0]).text == missed[0]


def test_a_node_that_stood_in_hands_over_what_it_got(cluster, client):
    first, *_, stand_in = client.nodes('o')
    cluster.kill('object', first)
    client.put('o')
    assert client.at(stand_in, 'o').status_code == 200
    cluster.start('object', first)

    cluster.replicate()

    assert sorted(client.holders('o')) == sorted(client.nodes('o')[:3])


def test_a_node_deletes_what_was_deleted_while_it_was_down(cluster, client):
    client.put('o')
    node = client.nodes('o')[0]
    cluster.kill_node(node)
    assert client('DELETE', 'o').status_code == 204
    cluster.start_node(node)
    assert client.holders('o') == [node]

    cluster.replicate()

    assert client.holders('o') == []
    (place,) = [place for place in client.places('o') if place.node == node]
    assert [name[-3:] for name in glob.glob(place.folder + '/*')] == ['.ts']


def test_a_container_server_gets_the_rows_that_it_missed(cluster, client):
    client.put('before')
    node = client.places()[0].node
    cluster.kill('container', node)
    client.put('o')
    client('DELETE', 'before')
    cluster.start('container', node)
    assert client.at(node).text.split() == ['before']

    cluster.replicate()

    assert client.at(node).text.split() == ['o']


def test_object_updaters_send_the_rows_that_a_container_server_missed(cluster, client):
    client.put('before')
    node = client.places()[0].node
    cluster.kill('container', node)
    client.put('o')
    cluster.start('container', node)

    cluster.update()

    assert client.at(node).text.split() == ['before', 'o']


def candidates():
    while True:
        yield 'c-' + uuid.uuid4().hex[:12]


def test_a_container_server_gets_a_container_that_was_made_while_it_was_down(cluster, client):
    node = 2
    client.container = next(name for name in candidates() if node in [place.node for place in cluster.places(name)[:3]])
    cluster.kill_node(node)
    assert client('PUT').status_code == 201
    client.put('o')
    cluster.start_node(node)
    assert client.at(node).status_code == 404

    cluster.replicate()

    assert client.at(node).text.split() == ['o']


def test_container_updaters_report_objects_to_the_account(cluster, client):
    client.put('o')

    cluster.update()

    listing = client.account(format='json').json()
    assert [row['count'] for row in listing if row['name'] == client.container] == [1]


def test_a_pass_leaves_out_servers_that_are_down_or_silent(cluster, client):
    client.put('o')
    down, silent, *_ = client.nodes('o')
    cluster.kill_node(down)
    cluster.stop('container', silent)

    cluster.replicate()
    cluster.update()

    assert client('GET', 'o').text == 'o'
