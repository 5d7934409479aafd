"""The keys of a terminal while something is drawn on it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import UnsupportedOperation
from typing import TextIO


@contextmanager
def silent_keys(stream: TextIO) -> Iterator[None]:
    """Keys are not echoed: a ^C or an Enter would move the cursor that rows are drawn from.

    Nor does Ctrl-C throw away what the terminal has not shown yet, such as half of a row (NOFLSH of termios(3)).
    Only where the stream is our terminal and we are in its foreground: another process would be stopped for it.
    """
    import termios

    try:
        terminal = stream.fileno()
        if os.tcgetpgrp(terminal) != os.getpgrp():
            raise UnsupportedOperation
        before = termios.tcgetattr(terminal)
    except (OSError, termios.error):
        yield
        return
    now = list(before)
    now[3] = before[3] & ~termios.ECHO | termios.NOFLSH
    termios.tcsetattr(terminal, termios.TCSADRAIN, now)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
