# -*- coding: utf-8 -*-
"""Pushes images to a v1 registry as docker 0.11 to 1.5 did. It runs on Python 2.7, as the registry does.

The argument is the registry's port. A JSON document on standard input says what to push:
[{"repository": name, "tag": name, "private": bool, "layers": [{"id": ..., "json": text, "path": of its bytes}, ... the base first]}]
"""
import json
import os
import sys

from v1_client import V1Client
from v1_image import Image, Layer


class StoredLayer(Layer):
    """A layer whose id and JSON are given."""

    def __init__(self, given):
        self.id, self.path = given['id'].encode('ascii'), given['path'].encode('utf-8')
        self.json = given['json'].encode('utf-8')
        self.size = os.path.getsize(self.path)


def main(port):
    client = V1Client(('127.0.0.1', int(port)))
    for each in json.load(sys.stdin):
        name = each['repository'].encode('utf-8')
        client.push(name, Image([StoredLayer(given) for given in each['layers']]), each['tag'].encode('utf-8'))
        if each['private']:
            client.set_access(name, 'private')


if __name__ == '__main__':
    main(*sys.argv[1:])
