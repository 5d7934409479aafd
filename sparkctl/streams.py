"""The streams of this process: standard output that remembers what went wrong, and none that is missing.

Whoever imports this wants to be quick: nothing but `io`, `os` and `sys`, which Python itself has loaded.
"""

import io
import os
import sys


class Output(io.FileIO):
    """Standard output that remembers why it could not be written: buffers above it drop what they could not pass on.

    It also tells such an error from one of a file of ours.
    """

    failed: OSError | None = None

    def write(self, data: "memoryview", /) -> int | None:  # type: ignore[override]
        """Write as FileIO does; keeps the OSError that it raises."""
        try:
            return super().write(data)
        except OSError as error:
            self.failed = error
            raise

    def check(self) -> None:
        """Raises the OSError that was met, also where it was caught: by a run that had to be finished first."""
        if self.failed:
            raise self.failed


def watch_output() -> Output | None:
    """Put `Output` under sys.stdout; nothing where a caller has put a stream of its own there.

    Raises OSError where standard output is closed: before anything is done that could not be told.
    """
    old = sys.stdout
    if old is None:
        raise OSError("it is closed")
    if not (isinstance(old, io.TextIOWrapper) and isinstance(old.buffer, io.BufferedWriter | io.FileIO)):
        return None
    output = Output(old.fileno(), "wb", closefd=False)
    sys.stdout = io.TextIOWrapper(
        output if old.write_through else io.BufferedWriter(output),
        encoding=old.encoding,
        errors=old.errors,
        line_buffering=old.line_buffering,
        write_through=old.write_through,
    )
    return output


def fill_missing() -> None:
    """Where the caller closed standard input or standard error, there is nothing to read and nobody to tell."""
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY))
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def give_up_output() -> None:
    """Keep the interpreter from trying again at its end."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
