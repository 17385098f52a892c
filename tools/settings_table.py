"""Print the driver's settings as the table of README.rst; with --write, put it there.

Needs the driver installed: `.tox/py311/bin/python tools/settings_table.py --write`.
"""
import io
import os
import sys

from docker_registry.drivers import swift

README = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'README.rst')
BEGIN, END = '.. settings begin\n', '.. settings end\n'


def default_of(setting):
    if setting.default is None:
        return ''
    if setting.parse is swift._size:
        return '%d MiB' % (setting.default // swift.MiB)
    return {True: 'true', False: 'false', '': ''}.get(setting.default, str(setting.default))


def table():
    """RST: a list-table, which needs no ruler to edit."""
    rows = [('Key', 'Environment', 'Default', 'Meaning')]
    for setting in swift.SETTINGS:
        default = ' '.join(filter(None, [default_of(setting), setting.unit if setting.unit != 'bytes' else '']))
        keys = ' or '.join('``%s``' % key for key in (setting.key,) + setting.aliases)
        rows.append((keys, ', '.join('``%s``' % name for name in setting.environment), default,
                     setting.meaning.replace('`', '``') + (' *(secret)*' if setting.secret else '')))
    lines = ['', '.. list-table::', '   :header-rows: 1', '']
    for row in rows:
        lines += ['   %s - %s' % ('*' if n == 0 else ' ', cell) for n, cell in enumerate(row)]
    return '\n'.join(line.rstrip() for line in lines) + '\n\n'


def in_readme():
    with io.open(README, encoding='utf-8') as readme:
        return readme.read().split(BEGIN)[1].split(END)[0]


def write():
    with io.open(README, encoding='utf-8') as readme:
        text = readme.read()
    before, rest = text.split(BEGIN)
    with io.open(README, 'w', encoding='utf-8') as readme:
        readme.write(before + BEGIN + table() + END + rest.split(END)[1])


if __name__ == '__main__':
    write() if '--write' in sys.argv else sys.stdout.write(table())
