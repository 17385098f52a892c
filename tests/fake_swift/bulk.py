# -*- coding: utf-8 -*-
"""Bulk delete, and the deletion of a static large object with its segments."""

import json

from .messages import Refusal, Response, quoted, status_line, unquoted, wire

MAX_FAILED_DELETES = 1000


def report(request, outcome, errors):
    """The text and the headers of a report: JSON if the client accepts it, otherwise plain text."""
    if 'json' in request.headers.get('Accept', ''):
        return json.dumps(dict(outcome, Errors=errors)), {'Content-Type': 'application/json'}
    lines = ['%s: %s\n' % item for item in sorted(outcome.items())] + ['Errors:\n']
    lines += ['%s, %s\n' % tuple(error) for error in errors]
    return ''.join(lines), {'Content-Type': 'text/plain'}


class BulkDelete(object):
    """Answers `POST ?bulk-delete`. The status is always 200; the report in the body, after some whitespace, has the errors."""

    def __init__(self, max_deletes):
        self.max_deletes = max_deletes

    @staticmethod
    def meant_by(request):
        """Whether a request is a bulk delete."""
        return request.kind == 'account' and 'bulk-delete' in request.query and request.method in ('POST', 'DELETE')

    def answer(self, request, account, names=None):
        if names is None:
            names = [unquoted(line.strip()) for line in request.body.split(b'\n')]
        outcome = {'Response Status': '200 OK', 'Response Body': '', 'Number Deleted': 0, 'Number Not Found': 0}
        errors = []
        if len(names) - (names[-1:] == ['']) > self.max_deletes:
            outcome.update({'Response Status': status_line(413),
                            'Response Body': 'Maximum Bulk Deletes: %d per request' % self.max_deletes})
        elif not request.headers.get('Content-Type', 'text/plain').startswith('text/plain'):
            outcome['Response Status'] = '406 Not Acceptable'
        elif isinstance(request.bulk_failures, str):
            outcome['Response Status'] = request.bulk_failures
        else:
            self.delete_all(request, account, [name for name in names if name], outcome, errors)
        text, headers = report(request, outcome, errors)
        return Response(200, headers, wire(' \r\n\r\n' + text), chunked=True)

    def delete_all(self, request, account, names, outcome, errors):
        """Delete what `names` name, and write the result to `outcome` and `errors`."""
        for name in names:
            code = (request.bulk_failures or (lambda _: None))(name) or self.delete(account, name)
            if code // 100 == 2:
                outcome['Number Deleted'] += 1
            elif code == 404:
                outcome['Number Not Found'] += 1
            else:
                errors.append([quoted(name), status_line(code)])
            if len(errors) >= MAX_FAILED_DELETES:
                outcome.update({'Response Status': status_line(400), 'Response Body': 'Max delete failures exceeded'})
                return
        if errors:
            outcome['Response Status'] = status_line(502 if any(error[1][0] == '5' for error in errors) else 400)
        elif not outcome['Number Deleted'] + outcome['Number Not Found']:
            outcome.update({'Response Status': status_line(400), 'Response Body': 'Invalid bulk delete.'})

    def delete(self, account, path):
        """Delete an object or an empty container, and return the status."""
        container, _, name = path.lstrip('/').partition('/')
        try:
            if name:
                account.delete_object(container, name)
            else:
                account.delete_container(container)
        except Refusal as refusal:
            return refusal.response.status
        return 204

    def answer_manifest(self, request, account):
        """Answer `DELETE ?multipart-manifest=delete`: delete the segments of an SLO and its manifest.

        Any other object stays. The status is 200 all the same, and the report has the error.
        """
        path = '/%s/%s' % (request.container, request.name)
        item = account.find(path)
        if item is not None and item.segments is not None:
            return self.answer(request, account, [record['name'] for record in item.segments] + [path])
        outcome = {'Response Status': '200 OK', 'Response Body': '', 'Number Deleted': 0, 'Number Not Found': 1}
        errors = []
        if item is not None:
            outcome.update({'Response Status': status_line(400), 'Number Not Found': 0})
            errors = [[quoted(path), 'Not an SLO manifest']]
        text, headers = report(request, outcome, errors)
        return Response(200, headers, wire(text), chunked=True)
