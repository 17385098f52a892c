"""Every error that a client can see, with its code, status and message.

The endpoints and the domain raise them. `http.app` turns them into responses. Codes:
https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes

What an error quotes of a request may be long. It is cut here, where the response is made, so whoever raises an error need not cut it.
"""

LONGEST_MESSAGE = 300  # characters
LONGEST_DETAIL = 150  # characters; any digest fits. JSON may need 12 bytes for one
MOST_ENTRIES = 50  # entries in one response, and in a list that is a detail


class RegistryError(Exception):
    """The base of all errors that a client can see.

    :param message: text for the client, instead of the class's own
    :param detail: any value that JSON can hold
    :param headers: header fields to send with the response
    :param status: HTTP status, instead of the class's own
    """

    code = 'UNSUPPORTED'
    status = 400
    message = 'the operation is unsupported'

    def __init__(self, message=None, detail=None, headers=(), status=None):
        super().__init__(message or self.message)
        self.message = message or self.message
        self.detail = detail
        self.headers = dict(headers)
        self.status = status or self.status

    def entries(self):
        """Return the list that stands under `errors` in the response body. Its texts and lists are short, whatever the client sent."""
        entry = {'code': self.code, 'message': short(self.message, LONGEST_MESSAGE)}
        details = [detail if detail is None else _short_value(detail) for detail in self.details()[:MOST_ENTRIES]]
        return [entry if detail is None else dict(entry, detail=detail) for detail in details]

    def details(self):
        """Return the detail of each entry; None for an entry without one."""
        return [self.detail]


def short(text, most=LONGEST_DETAIL):
    """Return a text of at most `most` characters. If it had more, it ends with `...`."""
    return text if len(text) <= most else text[: most - 3] + '...'


def _short_value(value):
    if isinstance(value, str):
        return short(value)
    if isinstance(value, dict):
        return {short(key): _short_value(held) for key, held in list(value.items())[:MOST_ENTRIES]}
    return [_short_value(held) for held in value[:MOST_ENTRIES]] if isinstance(value, list) else value


class BlobUnknown(RegistryError):
    code, status, message = 'BLOB_UNKNOWN', 404, 'blob unknown to registry'


class UploadInvalid(RegistryError):
    code, message = 'BLOB_UPLOAD_INVALID', 'blob upload invalid'


class UploadUnknown(RegistryError):
    code, status, message = 'BLOB_UPLOAD_UNKNOWN', 404, 'blob upload unknown to registry'


class RangeInvalid(RegistryError):
    """A chunk is out of order."""

    code, status, message = 'BLOB_UPLOAD_INVALID', 416, 'requested range not satisfiable'


class RangeUnsatisfiable(RegistryError):
    """A blob has no bytes in the requested range. The client learns the size of the blob (RFC 9110, 15.5.17).

    The spec has no code for this, and allows no others.
    """

    code, status, message = 'SIZE_INVALID', 416, 'the blob has no bytes in the requested range'

    def __init__(self, size):
        super().__init__(detail={'size': size}, headers={'Content-Range': f'bytes */{size}'})


class DigestInvalid(RegistryError):
    code, message = 'DIGEST_INVALID', 'provided digest did not match uploaded content'


class ManifestBlobUnknown(RegistryError):
    """A manifest names blobs or manifests that are not in its repository. The body has one entry for each missing digest."""

    code, status, message = 'MANIFEST_BLOB_UNKNOWN', 404, 'manifest references a manifest or blob unknown to registry'

    def __init__(self, missing):
        super().__init__(detail=missing)

    def details(self):
        return [{'digest': digest} for digest in self.detail]


class ManifestInvalid(RegistryError):
    code, message = 'MANIFEST_INVALID', 'manifest invalid'


class ManifestTooLarge(RegistryError):
    code, status, message = 'MANIFEST_INVALID', 413, 'manifest is larger than this registry accepts'


class ManifestUnknown(RegistryError):
    code, status, message = 'MANIFEST_UNKNOWN', 404, 'manifest unknown to registry'


class TagInvalid(RegistryError):
    code, message = 'MANIFEST_INVALID', 'invalid tag'


class TooManyTags(RegistryError):
    code, status, message = 'UNSUPPORTED', 414, 'too many tags in one request'


class NameInvalid(RegistryError):
    code, message = 'NAME_INVALID', 'invalid repository name'


class NameUnknown(RegistryError):
    code, status, message = 'NAME_UNKNOWN', 404, 'repository name not known to registry'


class SizeInvalid(RegistryError):
    code, message = 'SIZE_INVALID', 'provided length did not match content length'


class ParameterInvalid(RegistryError):
    code, message = 'UNSUPPORTED', 'invalid parameter'


class RequestInvalid(RegistryError):
    """The request is not valid HTTP, or larger than the server accepts."""

    code, message = 'UNSUPPORTED', 'the request is not valid HTTP'


class PreconditionFailed(RegistryError):
    """The blob or manifest is not the one that the client's If-Match names. The detail is its digest."""

    code, status, message = 'UNSUPPORTED', 412, 'the digest is not one that If-Match names'


class Denied(RegistryError):
    # Not the text that distribution has for this code: docker then takes the error for one that may pass, and tries a push for 50 seconds.
    code, status, message = 'DENIED', 403, 'the rules of this registry do not let you do this'


class TagImmutable(RegistryError):
    """A tag exists, and must not point to anything else. The detail is the tag."""

    code, status, message = 'DENIED', 403, 'this tag exists already, and you may not overwrite it'


class Unauthorized(RegistryError):
    """The client has to log in. The header WWW-Authenticate says how."""

    code, status, message = 'UNAUTHORIZED', 401, 'authentication required'


class TooManyRequests(RegistryError):
    code, status, message = 'TOOMANYREQUESTS', 429, 'too many failed logins; retry after the seconds in Retry-After'


class NotFound(RegistryError):
    code, status, message = 'UNSUPPORTED', 404, 'no such endpoint'


class MethodNotAllowed(RegistryError):
    code, status, message = 'UNSUPPORTED', 405, 'this endpoint does not support the method'


class ReadOnly(RegistryError):
    """The registry changes nothing. docker does not retry, and shows the message, because of this code; see its `retryOnError`."""

    code, status = 'UNSUPPORTED', 405
    message = 'this registry is read-only: it serves pulls, and accepts neither pushes nor deletes'


class Unavailable(RegistryError):
    """Storage did not answer. The client should retry; this is not the same as "not found"."""

    code, status, message = 'UNAVAILABLE', 503, 'storage is unavailable at the moment; retry later'


class ClientGone(RegistryError):
    """The client has closed its connection, so nobody reads this. The log shows the status that nginx logs for it, too."""

    code, status, message = 'UNAVAILABLE', 499, 'the client has closed the connection'


class Internal(RegistryError):
    code, status, message = 'UNKNOWN', 500, 'unknown error'
