# -*- coding: utf-8 -*-
"""A Swift on loopback that misbehaves on demand.

It is a real HTTP/1.1 server (a thread per connection, keep-alive) that speaks as much of OpenStack Swift as a registry
uses: v1 and Keystone v2 and v3 logins, /info, containers, objects, static and dynamic large objects, bulk delete and
TempURLs. The contract suite passes on it and on a real Swift alike. Beyond that it does what a healthy Swift will not::

    from fake_swift import FakeSwift, on, status, cut_response

    with FakeSwift(listing_limit=100) as swift:
        client = swiftclient.Connection(swift.auth_url, swift.user, swift.key)
        swift.fault(on('PUT', path_contains='layer'), status(503, {'Retry-After': '1'}), times=2)
        ...
        assert [request.status for request in swift.requests] == [503, 503, 201]

What it holds:  `swift.containers[name].objects[name]`, or `swift.container(name)[name]`, is an `Object` (body, etag,
    content_type, headers, segments); `swift.create_container(name)` and `swift.put(container, name, body)` seed it.
    Names are text everywhere. A second region has an account of its own: `swift.accounts['AUTH_test_two']`.
What it saw:    `swift.requests`, in order of arrival, and `swift.clear_requests()`; `swift.connections_made`,
    `swift.open_connections()`, `swift.drop_connections()`.
Logins:         `auth_url`, `auth_url_v2`, `auth_url_v3`, `user` and `key` (v1), `username`, `user_id`, `project`,
    `project_id`, `domain`, `domain_id`, `app_credential_id`, `_name`, `_secret`, `trust_id` (Keystone); `regions`;
    `swift.expire_tokens()` makes every token handed out so far answer 401. The internal endpoints are the public ones
    under the name localhost, so that a request's Host header tells which of them was used.

Faults:  `swift.fault(match, action, times=1, after=0)`: `match` is a method, `on(...)` or any predicate on a `Request`;
    the first `after` matching requests are served well, the next `times` (None: all) get the action. Faults are asked
    in the order in which they were set, and the first that is due acts. It returns the `Fault`, which counts its `hits`
    and can be ended by `.cancel()`; `swift.clear_faults()` ends all. The actions are the functions below `# Actions`.
Availability:   `refuse_connections()` (and drops those that are open), `accept_connections()`.
Consistency:    `lag_listing(container)` freezes what a listing shows, ghosts included, until `catch_up()`;
    `stale(container, name, times)` lets so many reads without X-Newest see what was there before the last write.

Left out: COPY, symlinks, versions, ACLs, XML listings, several ranges in one request, SLO `range` and `data` segments,
    `heartbeat`. An SLO that lost a later segment is always cut; the real one answers 500 if nothing was sent before.
"""

import email.utils  # noqa: F401 - a test takes it from here

from .faults import (
    altered,
    bulk_errors,
    bulk_status,
    corrupt_body,
    cut_request,
    cut_response,
    delay,
    lost_answer,
    on,
    serve,
    short_body,
    stall,
    status,
    without_headers,
    wrong_etag,
)
from .server import FakeSwift

__all__ = [
    'FakeSwift', 'altered', 'bulk_errors', 'bulk_status', 'corrupt_body', 'cut_request', 'cut_response', 'delay', 'lost_answer',
    'on', 'serve', 'short_body', 'stall', 'status', 'without_headers', 'wrong_etag']
