# -*- coding: utf-8 -*-
"""Static large objects (SLO) and dynamic large objects (DLO)."""

import json

from .bulk import report
from .messages import Refusal, quoted, status_line, unquoted, wire
from .stored import Object

MAX_MANIFEST_SIZE = 8 << 20


class LargeObjects(object):
    """Checks the manifests of large objects, and finds the bytes that they stand for."""

    max_segments = 1000

    def manifest(self, request, account):
        """The segment records for the body of a `multipart-manifest=put`. Raises `Refusal` if it is not valid."""
        if len(request.body) > MAX_MANIFEST_SIZE:
            raise Refusal(413, 'Manifest File > %d bytes' % MAX_MANIFEST_SIZE)
        entries = self.parsed(request)
        if len(entries) > self.max_segments:
            raise Refusal(413, 'Number of object-backed segments must be <= %d' % self.max_segments)
        problems, records = [], []
        for entry in entries:
            record, reasons = self.checked(entry, account, entry is entries[-1])
            records.append(record)
            problems += [[quoted(entry['path']), reason] for reason in reasons]
        if problems:
            raise Refusal(400, *report(request, {}, problems))
        return records

    @staticmethod
    def parsed(request):
        """The entries of a manifest, well-formed but not yet compared with the segments."""
        try:
            entries = json.loads(request.body.decode('utf-8'))
        except ValueError:
            raise Refusal(400, 'Manifest must be valid JSON.\n')
        if not isinstance(entries, list):
            raise Refusal(400, 'Manifest must be a list.\n')
        errors = [message for index, entry in enumerate(entries)
                  for message in LargeObjects.faulty_entry(index, entry, request, index == len(entries) - 1)]
        if errors:
            raise Refusal(400, ''.join(errors), content_type='text/plain')
        return entries

    @staticmethod
    def faulty_entry(index, entry, request, last):
        """Yield what is wrong with the form of an entry."""
        unknown = sorted(set(entry) - {'path', 'etag', 'size_bytes'}) if isinstance(entry, dict) else []
        if not isinstance(entry, dict):
            yield 'Index %d: not a JSON object\n' % index
        elif unknown:
            yield 'Index %d: extraneous keys %s\n' % (index, ', '.join(json.dumps(key) for key in unknown))
        elif not isinstance(entry.get('path'), type(u'')):
            yield 'Index %d: "path" must be a string\n' % index
        elif not isinstance(entry.get('etag') or u'', type(u'')):
            yield 'Index %d: "etag" must be a string or null (if provided)\n' % index
        elif '/' not in entry['path'].strip('/'):
            yield 'Index %d: path does not refer to an object. Path must be of the form /container/object.\n' % index
        elif not str(entry.get('size_bytes') or 0).isdigit():
            yield 'Index %d: invalid size_bytes\n' % index
        elif entry.get('size_bytes') in (0, '0') and not last:
            yield 'Index %d: too small; each segment must be at least 1 byte.\n' % index
        elif entry['path'].lstrip('/') == '%s/%s' % (request.container, request.name):
            yield 'Index %d: manifest must not include itself as a segment\n' % index

    @staticmethod
    def checked(entry, account, last):
        """The record of one segment (None if it is missing), and a list of what is wrong with it."""
        item = account.find(entry['path'])
        if item is None:
            return None, [status_line(404)]
        reasons = []
        if item.size == 0 and not last:
            reasons.append('Too small; each segment must be at least 1 byte.')
        if int(entry.get('size_bytes') or item.size) != item.size:
            reasons.append('Size Mismatch')
        if entry.get('etag') not in (None, item.read_etag):
            reasons.append('Etag Mismatch')
        record = dict(item.record(''), name='/' + entry['path'].lstrip('/'), hash=item.read_etag)
        if record.pop('slo_etag', None):
            record['sub_slo'] = True
        return record, reasons

    def pieces(self, account, item):
        """Yield (bytes, size) of each stored piece of an object, in order.

        The bytes are None if a segment is missing or has been overwritten.
        """
        for data, size in self.sources(account, item):
            if isinstance(data, Object):
                for piece in self.pieces(account, data):
                    yield piece
            else:
                yield data, size

    def sources(self, account, item):
        """Yield (source, size) of each part of an object.

        The source is bytes, an `Object` for a segment (which may itself be a large object), or None for a missing segment.
        """
        if item.segments is not None:
            for record in item.segments:
                found = account.find(record['name'])
                yield (found if self.is_intact(found, record) else None), record['bytes']
        elif item.is_dynamic:
            container, _ = self.dynamic_place(item)
            for record in self.listed(account, item):
                yield account.find(container + '/' + record['name']), record['bytes']
        else:
            yield item.body, len(item.body)

    @staticmethod
    def is_intact(found, record):
        """Whether a segment, or None if it is missing, is still the one that the manifest names."""
        return bool(found) and (found.read_etag, found.size) == (record['hash'], record['bytes'])

    @staticmethod
    def dynamic_place(item):
        """The container and the prefix of a DLO's segments."""
        container, _, prefix = unquoted(wire(item.headers['X-Object-Manifest'])).partition('/')
        return container, prefix

    def listed(self, account, item):
        """The listing records of a DLO's segments. A segment that a lagging listing does not show is not read."""
        container, prefix = self.dynamic_place(item)
        return account.container(container).page(None, prefix)

    def raw_manifest(self, item):
        """The manifest of an SLO in the form in which a client can PUT it again."""
        entries = [{'etag': record['hash'], 'path': record['name'], 'size_bytes': record['bytes']} for record in item.segments]
        return json.dumps(entries, sort_keys=True).encode('ascii')
