# -*- coding: utf-8 -*-
"""A fake Swift on loopback that fails on demand.

It is a real HTTP/1.1 server with keep-alive and one thread for each connection. It speaks the part of OpenStack Swift that a
registry uses: v1, Keystone v2 and Keystone v3 logins, /info, containers, objects, static and dynamic large objects, bulk delete
and TempURLs. The contract suite passes both on this server and on a real Swift. This one also does what a healthy Swift does not::

    from fake_swift import FakeSwift, on, status, cut_response

    with FakeSwift(listing_limit=100) as swift:
        client = swiftclient.Connection(swift.auth_url, swift.user, swift.key)
        swift.fault(on('PUT', path_contains='layer'), status(503, {'Retry-After': '1'}), times=2)
        ...
        assert [request.status for request in swift.requests] == [503, 503, 201]

Contents
    `swift.containers[name].objects[name]` and `swift.container(name)[name]` are the same `Object`. It has body, etag,
    content_type, headers and segments. `swift.create_container(name)` and `swift.put(container, name, body)` store without a
    request. `swift.generate_container(name, rules)` creates one with any number of objects that cost no memory: each rule is a
    `Generated`. All names are text. The second region has its own account, `swift.accounts['AUTH_test_two']`.
Requests and connections
    `swift.requests` holds all requests in order of arrival; `swift.clear_requests()` empties it. `swift.connections_made` counts
    the connections so far, `swift.open_connections()` those that are open, and `swift.drop_connections()` closes these.
Logins
    For v1: `auth_url`, `user` and `key`. For Keystone: `auth_url_v2`, `auth_url_v3`, `username`, `key`, `user_id`, `project`,
    `project_id`, `domain`, `domain_id`, `app_credential_id`, `app_credential_name`, `app_credential_secret`, `trust_id` and
    `regions`. After `swift.expire_tokens()`, every token issued so far returns 401. The internal endpoints are the public ones
    with the host name localhost, so the Host header of a request shows which endpoint the client used.
Faults
    `swift.fault(match, action, times=1, after=0)` sets a fault. `match` is a method, `on(...)`, or any predicate on a `Request`.
    The first `after` matching requests are served as usual. The next `times` requests get the action; with None, all of them do.
    Faults are checked in the order in which they were set, and the first one that is due acts. `swift.fault` returns a `Fault`,
    which counts its `hits`; `cancel()` ends it. `swift.clear_faults()` ends all faults. Module `faults` describes the
    actions.
Availability
    `swift.refuse_connections()` also drops open connections, unless it gets `drop=False`. `swift.accept_connections()` ends this.
Consistency
    `swift.lag_listing(container)` freezes the listing of a container until `swift.catch_up()`. It then shows deleted objects and
    not the new ones. After `swift.stale(container, name, times)`, that many reads without X-Newest return what was there before
    the last write.

Ceph
    `FakeSwift(ceph=True)` behaves like a Ceph RADOS Gateway: module `ceph` has the differences.

Not implemented: COPY, symlinks, versions, ACLs, XML listings, several ranges in one request, SLO `range` and `data` segments, and
`heartbeat`. If an SLO has lost a segment other than the first, the response is always cut. A real Swift returns 500 if it has sent
nothing before.

The modules; each imports only from those below it:

    server          `FakeSwift`: accepts connections, and offers tests the functions above
    connections     a thread for each connection: reads requests, writes responses
    faults          which requests a fault matches, and what it does to them
    ceph            what a Ceph RADOS Gateway does differently
    proxy           checks who may send a request and passes it on; /info
    objects         requests for objects
    containers      requests for accounts and containers, with metadata and listings
    large_objects   manifests and segments of static and dynamic large objects
    bulk            bulk delete
    tempurl         temporary URLs
    identity        v1 and Keystone logins, tokens
    generated       containers with more objects than memory has room for
    stored          accounts, containers and objects as they are stored
    messages        requests, responses, headers and their text formats
"""

import email.utils  # noqa: F401 - tests/drivers uses fake_swift.email

from .faults import (
    altered,
    bulk_errors,
    bulk_status,
    corrupt_body,
    cut_request,
    cut_response,
    delay,
    lost_answer,
    manifest_problems,
    on,
    serve,
    short_body,
    short_page,
    stall,
    status,
    without_headers,
    wrong_etag,
)
from .generated import Generated
from .server import FakeSwift

__all__ = [
    'FakeSwift', 'Generated', 'altered', 'bulk_errors', 'bulk_status', 'corrupt_body', 'cut_request', 'cut_response', 'delay',
    'lost_answer', 'manifest_problems', 'on', 'serve', 'short_body', 'short_page', 'stall', 'status', 'without_headers',
    'wrong_etag']
