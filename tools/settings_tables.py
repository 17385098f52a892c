"""Print the tables of settings in README.rst and docs/settings.rst; with --write, write them into these pages.

Needs the registry installed, on Python 3.10 or newer: `.tox/v2/bin/python tools/settings_tables.py --write`. The tables of the driver's
settings can be made on Python 2.7 as well, where tests/drivers compares them.
"""
import io
import os
import sys

from docker_registry.drivers import swift

CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
README, REFERENCE = 'README.rst', 'docs/settings.rst'
MiB = 1024 * 1024

#: The settings that README shows: what nearly every installation sets.
COMMON = ('swift_authurl', 'swift_auth_version', 'swift_user', 'swift_password', 'swift_tenant_name', 'swift_user_domain_name',
          'swift_project_domain_name', 'swift_region_name', 'swift_container', 'swift_segment_size')


# Tables of the driver's settings


def common_settings():
    settings = dict((setting.key, setting) for setting in swift.SETTINGS)
    return driver_table(settings[key] for key in COMMON)


def driver_settings():
    return driver_table(swift.SETTINGS)


def driver_table(settings):
    rows = [('Key', 'Environment', 'Default', 'Meaning')]
    for setting in settings:
        keys = ' or '.join('``%s``' % key for key in (setting.key,) + setting.aliases)
        rows.append((keys, ', '.join('``%s``' % name for name in setting.environment), driver_default(setting),
                     meaning(setting.meaning, setting.secret)))
    return list_table(rows)


def driver_default(setting):
    if setting.default is None:
        return ''
    if setting.unit == 'bytes':
        return '%d MiB' % (setting.default // MiB)
    return ('%s %s' % (shown(setting.default), setting.unit)).strip()


# Tables of the registry's own settings: Python 3


def server_settings():
    from docker_registry.v2.settings import config
    return registry_table(config.ServerSettings, [('',) + variable('LOGLEVEL')])


def access_settings():
    from docker_registry.v2.settings import config
    return registry_table(config.Access)


def registry_settings():
    from docker_registry.v2.settings import config
    return registry_table(config.Config)


def notification_settings():
    from docker_registry.v2.settings.notifications import Notifications
    return registry_table(Notifications)


def configuration_file():
    return list_table([('Environment', 'Default', 'Meaning'), variable('DOCKER_REGISTRY_CONFIG'), variable('SETTINGS_FLAVOR')])


def registry_table(kind, more=()):
    """One class of docker_registry/v2/settings/config.py, with a column for the options of `serve` if its settings have one."""
    import dataclasses

    from docker_registry.v2.settings import config
    are_options = kind in config.OPTIONS
    rows = [('Option',) * are_options + ('Environment', 'Default', 'Meaning')]
    for setting in dataclasses.fields(kind):
        option = ('``%s``' % config.option_name(setting),) * are_options
        rows.append(option + ('``%s``' % config.environment_name(setting), registry_default(setting),
                              meaning(setting.metadata['meaning'], setting.metadata['secret'])))
    return list_table(rows + list(more))


def registry_default(setting):
    """Bytes are shown as you have to type them, and in MiB."""
    text = ('%s %s' % (shown(setting.default), setting.metadata['unit'])).strip()
    is_mib = setting.metadata['unit'] == 'bytes' and setting.default % MiB == 0
    return '%s (%d MiB)' % (text, setting.default // MiB) if is_mib else text


def variable(name):
    """(name, default, meaning) of a variable that belongs to no class."""
    from docker_registry.v2.settings import config
    text, default = config.VARIABLES[name]
    return '``%s``' % name, default, meaning(text)


# What all tables share


def shown(default):
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return '%g' % default
    return '' if default in ('', (), None) else str(default)


def meaning(text, secret=False):
    return text.replace('`', '``') + (' *(secret)*' if secret else '')


def list_table(rows):
    """RST: a list-table, which needs no ruler to edit."""
    lines = ['', '.. list-table::', '   :header-rows: 1', '']
    for row in rows:
        lines += ['   %s - %s' % ('*' if n == 0 else ' ', cell) for n, cell in enumerate(row)]
    return '\n'.join(line.rstrip() for line in lines) + '\n\n'


# Pages


#: (page, name of the table in its markers): what makes the table; Python 2.7 can make the first ones.
DRIVER_TABLES = {(README, 'common'): common_settings, (REFERENCE, 'driver'): driver_settings}
TABLES = dict(DRIVER_TABLES)
TABLES.update({(REFERENCE, 'server'): server_settings, (REFERENCE, 'access'): access_settings,
               (REFERENCE, 'registry'): registry_settings, (REFERENCE, 'notifications'): notification_settings,
               (REFERENCE, 'file'): configuration_file})


def markers(name):
    return '.. settings %s begin\n' % name, '.. settings %s end\n' % name


def read(page):
    with io.open(os.path.join(CHECKOUT, page), encoding='utf-8') as file:
        return file.read()


def in_page(page, name):
    """The table as it stands in the page."""
    begin, end = markers(name)
    return read(page).split(begin)[1].split(end)[0]


def write():
    for page, name in sorted(TABLES):
        begin, end = markers(name)
        before, rest = read(page).split(begin)
        text = before + begin + TABLES[page, name]() + end + rest.split(end)[1]
        with io.open(os.path.join(CHECKOUT, page), 'w', encoding='utf-8') as file:
            file.write(text)


if __name__ == '__main__':
    write() if '--write' in sys.argv else sys.stdout.write(''.join(TABLES[key]() for key in sorted(TABLES)))
