# -*- coding: utf-8 -*-
"""The content of a Swift container, read from Swift itself and not through the driver under test."""
import json
import urllib

import urllib2


class Container(object):
    """:param swift: an object with `auth_url`, `user` and `key` of a v1 login"""

    def __init__(self, swift, name):
        self.name = name
        login = urllib2.urlopen(urllib2.Request(swift.auth_url, headers={
            'X-Auth-User': swift.user, 'X-Auth-Key': swift.key}))
        self._url = '%s/%s' % (login.headers['X-Storage-Url'], name)
        self._token = login.headers['X-Auth-Token']

    def names(self, prefix=''):
        """Names of all objects that begin with `prefix`. An empty list if the container does not exist yet."""
        names = []
        while True:
            page = self._page(prefix, names[-1] if names else '')
            if not page:
                return names
            names += page

    def _page(self, prefix, marker):
        query = urllib.urlencode({'format': 'json', 'prefix': prefix, 'marker': marker})
        try:
            return [entry['name'].encode('utf-8') for entry in json.loads(self._get('?' + query) or '[]')]
        except urllib2.HTTPError as error:
            if error.code != 404:
                raise
            return []

    def read(self, name):
        return self._get('/' + urllib.quote(name))

    def segments(self, name):
        """(name, size) of each segment of a static large object. An empty list for any other object."""
        url = self._url + '/' + urllib.quote(name) + '?multipart-manifest=get'
        answer = urllib2.urlopen(urllib2.Request(url, headers={'X-Auth-Token': self._token}))
        if answer.headers.get('X-Static-Large-Object', '').lower() != 'true':
            return []
        return [(part['name'].encode('utf-8').partition(self.name + '/')[2], part['bytes']) for part in json.load(answer)]

    def _get(self, target):
        return urllib2.urlopen(urllib2.Request(self._url + target, headers={'X-Auth-Token': self._token})).read()
