"""A terminal in which somebody types commands, and answers when a command asks for a password."""

import os
import pty
import re
import select
import signal
import time

from servers import PATIENCE

PROMPT = 'ready> '
ASKS = re.compile(r'(Password|Again): \Z')


class Terminal:
    """A shell in a folder.

    :param environment: its variables
    """

    def __init__(self, folder, environment):
        self.said = ''  # everything that was to see
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execve('/bin/bash', ['bash', '--norc', '--noediting'], {**environment, 'PS1': PROMPT, 'PS2': '', 'TERM': 'dumb'})
        self._read_until(lambda: self.said.endswith(PROMPT))

    def type(self, command, password='', ready=None):
        """Type a command, wait until it ends, and return what it said.

        :param password: what is typed when the command asks for a password
        :param ready: a text that a command says which does not end
        """
        began = self._send(command)
        while True:
            self._read_until(lambda: ASKS.search(self.said, began) or self.said.endswith(PROMPT) or ready and ready in self.said[began:])
            said = self.said[began:].replace('\r\n', '\n')
            if not ASKS.search(self.said, began):
                return said.removesuffix(PROMPT).partition(command.splitlines()[-1] + '\n')[2]
            self._send(password)

    def _send(self, text):
        length = len(self.said)
        os.write(self._terminal, text.encode() + b'\n')
        self._read_until(lambda: len(self.said) > length)
        return length

    def _read_until(self, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            ready, _, _ = select.select([self._terminal], [], [], end - time.monotonic())
            assert ready, 'nothing happens after:\n' + self.said
            self.said += os.read(self._terminal, 65536).decode(errors='replace')

    def close(self):
        """Press Ctrl-C, so that what runs in it ends: a registry takes the end of its terminal for a wish to start again. Then close it."""
        began = len(self.said)
        os.write(self._terminal, b'\x03')
        self._read_until(lambda: self.said[began:].endswith(PROMPT))
        os.kill(self._pid, signal.SIGHUP)
        os.close(self._terminal)
        os.waitpid(self._pid, 0)
