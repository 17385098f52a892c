"""The command `registry-swift`, and `python -m docker_registry.v2`."""

import sys


def main():
    if 'serve' in sys.argv:
        # The server waits in greenlets. Modules take locks and sockets when they are imported, so this comes first.
        from gevent import monkey

        monkey.patch_all()
    from docker_registry.v2 import cli

    return cli.main()


if __name__ == '__main__':
    sys.exit(main())
