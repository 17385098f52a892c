# -*- coding: utf-8 -*-
"""What a Ceph RADOS Gateway does differently from OpenStack Swift. `FakeSwift(ceph=True)` is one.

Each class overrides what differs in one part of Swift. To add a difference to a part that has no class here yet, subclass that
part and name the subclass in `CephProxy`. `messages.Request` understands the paths of both.
"""

from .identity import Identity
from .objects import ObjectRequests
from .proxy import Proxy
from .tempurl import TempUrls


class CephIdentity(Identity):
    """Returns 204 to a v1 login."""

    v1_status = 204


class CephTempUrls(TempUrls):
    """Accepts the keys of the account only. The signed path may begin with `/swift/v1` or with `/v1`."""

    def keys(self, account, container):
        return self.keys_in(account.headers, 'X-Account-Meta-Temp-Url-Key')

    @staticmethod
    def signed_paths(path):
        return [path, path[len('/swift'):]]


class CephObjects(ObjectRequests):

    def manifest_read(self, request, item, headers):
        """Return an empty body for the manifest of a static large object."""
        response = super(CephObjects, self).manifest_read(request, item, headers)
        if item.segments is not None:
            response.body, response.length = b'', 0
        return response

    def content_read(self, request, account, item, headers):
        """Leave Last-Modified out for a dynamic large object."""
        if item.is_dynamic:
            headers.pop('Last-Modified')
        return super(CephObjects, self).content_read(request, account, item, headers)


class CephProxy(Proxy):
    """Has no account in its storage URL, and no `allowed_digests` in /info."""

    identity_class, temp_urls_class, objects_class = CephIdentity, CephTempUrls, CephObjects

    @staticmethod
    def storage_path(account):
        return '/swift/v1'

    def info(self):
        known = super(CephProxy, self).info()
        del known['tempurl']['allowed_digests']
        return known
