# -*- coding: utf-8 -*-
"""Containers with millions of objects that cost no memory: their names and contents follow from rules."""

import bisect
import heapq

from .messages import md5
from .stored import Container, Object

STORED = -1  # the rank of a name that is really stored, before those of all rules


class Generated(object):
    """Some objects that a rule makes when they are asked for.

    :param count: how many
    :param name: makes the name for a number below `count`. The names ascend with the numbers, in the order of their characters.
    :param body: makes the bytes for the number
    """

    def __init__(self, count, name, body):
        self.count, self.name, self.body = count, name, body

    def __len__(self):
        return self.count

    def __getitem__(self, number):
        return self.name(number)

    def find(self, name):
        """The number of a name, or None if the rule does not make it."""
        number = bisect.bisect_left(self, name)
        return number if number < self.count and self.name(number) == name else None

    def numbered(self, start):
        """Yield (name, number), in order, from the text `start` on."""
        number = bisect.bisect_left(self, start)
        while number < self.count:
            yield self.name(number), number
            number += 1


class GeneratedContainer(Container):
    """A container with generated objects among its stored ones. They can be overwritten and deleted. They are as old as the container.

    :param rules: each a `Generated`; no two make the same name
    """

    def __init__(self, rules, headers=()):
        super(GeneratedContainer, self).__init__(headers)
        self.rules, self.gone = rules, set()

    def totals(self):
        """(number, bytes) of its objects. The bytes are only those of stored ones."""
        count, size = super(GeneratedContainer, self).totals()
        return count + sum(map(len, self.rules)) - len(self.gone), size

    def write(self, name, item):
        if self.generated(name) is not None:
            self.gone.add(name)
        super(GeneratedContainer, self).write(name, item)

    def read(self, name, newest=True):
        item = super(GeneratedContainer, self).read(name, newest)
        return self.generated(name) if item is None else item

    def generated(self, name):
        """The object that a rule makes under this name, or None."""
        for rule in self.rules:
            number = rule.find(name)
            if number is not None and name not in self.gone:
                item = Object(rule.body(number))
                item.timestamp = self.timestamp
                return item
        return None

    def page(self, limit, prefix='', delimiter='', marker='', end_marker=''):
        records, example = [], Object(b'')
        example.timestamp, start = self.timestamp, max(prefix, marker)
        template = example.record('')
        while start is not None:
            names, start = self.names(start), None
            for name, rank, number in names:
                past_end = not name.startswith(prefix) or (end_marker and name >= end_marker)
                if len(records) == limit or past_end:
                    break
                if name == marker:
                    continue
                end = name.find(delimiter, len(prefix)) if delimiter else -1
                if end >= 0:
                    subdir = name[:end + len(delimiter)]
                    records += [{'subdir': subdir}] if subdir != marker else []
                    start = subdir[:-1] + chr(ord(subdir[-1]) + 1)  # the first text after all names that begin with it
                    break
                if rank == STORED:
                    records.append(self.listed[name].record(name))
                else:
                    body = self.rules[rank].body(number)
                    records.append(dict(template, name=name, hash=md5(body), bytes=len(body)))
        return records

    def names(self, start):
        """An iterator over (name, rank, number) from the text `start` on, in order."""
        stored = ((name, STORED, 0) for name in sorted(name for name in self.listed if name >= start))
        return (found for found in heapq.merge(stored, *[self.ranked(rank, start) for rank in range(len(self.rules))])
                if found[1] == STORED or found[0] not in self.gone)

    def ranked(self, rank, start):
        return ((name, rank, number) for name, number in self.rules[rank].numbered(start))
