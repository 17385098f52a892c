# -*- coding: utf-8 -*-
"""Accounts, containers and objects as they are stored."""

import time

from .messages import Headers, Refusal, iso_time, md5, wire


class Object(object):
    """One stored object. It does not change once it is stored; a write replaces it.

    The body of an SLO is its manifest, and `segments` are Swift's records of its segments. For other objects, `segments` is None.
    `etag` is the MD5 of the body. `read_etag` is the ETag of the content: for an SLO, the MD5 of its segments' ETags.
    """

    def __init__(self, body, content_type='application/octet-stream', headers=(), segments=None):
        self.body, self.content_type, self.headers, self.segments = body, content_type, Headers(headers), segments
        self.timestamp = time.time()
        self.etag = md5(body)
        self.read_etag = self.etag
        if segments is not None:
            self.read_etag = md5(b''.join(wire(segment['hash']) for segment in segments))

    @property
    def size(self):
        return len(self.body) if self.segments is None else sum(segment['bytes'] for segment in self.segments)

    @property
    def is_dynamic(self):
        """Whether it is the manifest of a dynamic large object."""
        return 'X-Object-Manifest' in self.headers

    @property
    def expired(self):
        return 'X-Delete-At' in self.headers and int(self.headers['X-Delete-At']) <= time.time()

    def with_headers(self, headers):
        return Object(self.body, self.content_type, headers, self.segments)

    def record(self, name):
        """Its entry in a container listing, under this name."""
        seconds, _, digits = ('%.5f' % self.timestamp).partition('.')  # the same time as X-Timestamp
        stamp = '%s.%s0' % (iso_time(int(seconds), '%Y-%m-%dT%H:%M:%S'), digits)
        entry = {'name': name, 'hash': self.etag, 'bytes': self.size, 'content_type': self.content_type, 'last_modified': stamp}
        if self.segments is not None:
            entry['slo_etag'] = '"%s"' % self.read_etag
        return entry


class Container(object):
    """Objects by name, and the metadata of their container.

    `frozen` is what a lagging listing shows, or None. `previous` has what each name held before the last write (None: nothing).
    `stale` has how many reads of a name still return that.
    """

    def __init__(self, headers=()):
        self.objects, self.headers, self.timestamp = {}, Headers(headers), time.time()
        self.frozen, self.previous, self.stale = None, {}, {}

    @property
    def listed(self):
        return self.objects if self.frozen is None else self.frozen

    def totals(self):
        """(number, bytes) of its objects, as its listing shows them. Of an SLO, this counts the bytes of the manifest only."""
        return len(self.listed), sum(len(item.body) for item in self.listed.values())

    def write(self, name, item):
        """Store `item` under `name`. With None, delete what is there."""
        self.previous[name] = self.objects.pop(name, None)
        if item is not None:
            self.objects[name] = item

    def read(self, name, newest=True):
        """The object, or None. With newest=False it may be a stale one."""
        item = self.objects.get(name)
        if not newest and self.stale.get(name, 0) > 0:
            self.stale[name] -= 1
            item = self.previous.get(name)
        return None if item is None or item.expired else item

    def page(self, limit, prefix='', delimiter='', marker='', end_marker=''):
        """At most `limit` records of a listing, sorted by the UTF-8 bytes of their names; None means no limit."""
        records, subdir = [], None
        order = dict((name, name.encode('utf-8')) for name in self.listed)
        for name in sorted(order, key=order.get):
            if len(records) == limit or (end_marker and order[name] >= end_marker.encode('utf-8')):
                break
            if not name.startswith(prefix) or (marker and order[name] <= marker.encode('utf-8')):
                continue
            end = name.find(delimiter, len(prefix)) if delimiter else -1
            if end < 0:
                records.append(self.listed[name].record(name))
            elif name[:end + len(delimiter)] != subdir:
                subdir = name[:end + len(delimiter)]
                if subdir != marker:
                    records.append({'subdir': subdir})
        return records


class Account(object):
    """Containers by name, and the metadata of their account. A method raises `Refusal` where Swift returns an error."""

    def __init__(self):
        self.containers, self.headers = {}, Headers()

    def container(self, name):
        if name not in self.containers:
            raise Refusal(404)
        return self.containers[name]

    def delete_container(self, name):
        """Delete a container whose listing is empty. The listing may lag behind the objects."""
        if self.container(name).listed:
            raise Refusal(409)
        del self.containers[name]

    def delete_object(self, container, name):
        if self.container(container).read(name) is None:
            raise Refusal(404)
        self.containers[container].write(name, None)

    def find(self, path):
        """The object at the path `/container/object`, or None."""
        container, _, name = path.lstrip('/').partition('/')
        return self.containers[container].read(name) if container in self.containers else None
