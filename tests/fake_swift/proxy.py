# -*- coding: utf-8 -*-
"""What Swift's proxy server does: it checks who may send a request, and passes it to the part of Swift that answers it."""

from .bulk import MAX_FAILED_DELETES, BulkDelete
from .containers import MAX_CONTAINER_NAME, AccountRequests, ContainerRequests
from .identity import Identity
from .large_objects import MAX_MANIFEST_SIZE, LargeObjects
from .messages import Refusal, Response, as_json
from .objects import MAX_OBJECT_NAME, ObjectRequests
from .tempurl import TempUrls


class Proxy(object):
    """Answers requests of every kind. Raises `Refusal` where Swift returns an error."""

    # The parts of Swift. A subclass that behaves like another product names its own.
    identity_class, temp_urls_class, objects_class = Identity, TempUrls, ObjectRequests
    accounts_class, containers_class = AccountRequests, ContainerRequests
    large_objects_class, bulk_class = LargeObjects, BulkDelete

    def __init__(self, swift, token_life, allowed_digests):
        self.swift = swift
        self.identity = self.identity_class(swift, token_life)
        self.temp_urls = self.temp_urls_class(allowed_digests)
        self.large, self.bulk = self.large_objects_class(), self.bulk_class(swift.max_deletes)
        self.accounts, self.containers = self.accounts_class(), self.containers_class(swift.listing_limit)
        self.objects = self.objects_class(swift, self.large, self.bulk)

    @staticmethod
    def storage_path(account):
        return '/v1/' + account

    def answer(self, request):
        # Request.path has U+FFFD for bytes that are not UTF-8.
        if u'\ufffd' in request.path or u'\0' in request.path:
            raise Refusal(412, 'Invalid UTF8 or contains NULL')
        if request.kind == 'auth':
            return self.identity.answer(request)
        if request.kind == 'info':
            return self.answer_info()
        account = self.swift.accounts.get(request.account or 'AUTH_' + self.swift.project)
        if self.temp_urls.used_by(request):
            return self.signed(request, account)
        if not self.identity.knows(request.headers.get('X-Auth-Token') or request.headers.get('X-Storage-Token')):
            raise Refusal(401, headers={'Www-Authenticate': 'Swift realm="%s"' % (request.account or 'unknown')})
        if account is None:
            raise Refusal(403)
        return self.admitted(request, account)

    def signed(self, request, account):
        """Answer a request that uses a temporary URL."""
        if account is None or not self.temp_urls.allows(request, account):
            raise self.temp_urls.refusal(request)
        if request.method == 'PUT' and 'X-Object-Manifest' in request.headers:
            raise Refusal(400, "The header 'X-Object-Manifest' is not allowed in this tempurl")
        return self.temp_urls.dress(request, self.admitted(request, account))

    def admitted(self, request, account):
        """Answer a request that may reach this account."""
        if self.swift.bulk_enabled and self.bulk.meant_by(request):
            return self.bulk.answer(request, account)
        resource = {'account': self.accounts, 'container': self.containers, 'object': self.objects}[request.kind]
        handler = getattr(resource, 'do_' + request.method.upper(), None)
        if handler is None:
            raise Refusal(405)
        return handler(request, account)

    def answer_info(self):
        if not self.swift.info_enabled:
            raise Refusal(404)
        return Response(200, {'Content-Type': 'application/json; charset=UTF-8'}, as_json(self.info()))

    def info(self):
        """What /info tells about this Swift."""
        known = {
            'swift': {'version': '2.38.3', 'max_file_size': self.swift.max_file_size,
                      'container_listing_limit': self.swift.listing_limit,
                      'max_object_name_length': MAX_OBJECT_NAME, 'max_container_name_length': MAX_CONTAINER_NAME},
            'tempurl': {'methods': ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'],
                        'allowed_digests': list(self.temp_urls.allowed_digests)}}
        if self.swift.bulk_enabled:
            known['bulk_delete'] = {'max_deletes_per_request': self.swift.max_deletes,
                                    'max_failed_deletes': MAX_FAILED_DELETES}
        if self.swift.slo_enabled:
            known['slo'] = {'max_manifest_segments': self.large.max_segments,
                            'max_manifest_size': MAX_MANIFEST_SIZE, 'min_segment_size': 1}
        return known
