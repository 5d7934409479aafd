"""The way in: `--version` at once, every other command through the one error boundary."""

import sys

from sparkctl import streams


def main() -> None:
    """Run the command line and leave with its exit code."""
    streams.fill_missing()
    try:
        output = streams.watch_output()
        code = _print_version() if sys.argv[1:] in (["--version"], ["-V"]) else _guarded(sys.argv[1:], output)
        print(end="", flush=True)
        if output:
            output.check()
    except BrokenPipeError:
        streams.give_up_output()
        code = 141  # what a shell reports of a program that died of SIGPIPE
    except OSError as error:
        code = _tell_unwritable(error)
    if code == 130:
        _leave(code)
    sys.exit(code)


def _print_version() -> int:
    from sparkctl import __version__

    print(f"sparkctl {__version__}")
    return 0


def _guarded(argv: list[str], output: streams.Output | None) -> int:
    """The exit code of a command; whatever it raises becomes a message. Raises OSError for standard output alone."""
    import os

    from sparkctl.cli.app import invoke

    _encode_anything()
    try:
        return _complete(argv, shell) if (shell := os.environ.get("_SPARKCTL_COMPLETE")) else invoke(argv)
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:
        if output and error is output.failed:
            raise
        from sparkctl.report.failure import show

        return show(error, argv)


def _complete(argv: list[str], shell: str) -> int:
    """Answer a shell that completes the last word."""
    from sparkctl.cli.completion import answer

    if found := answer(shell, argv):
        print(found)
    return 0


def _encode_anything() -> None:
    """What the terminal's encoding lacks is written as an escape, rather than failing."""
    import io

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _tell_unwritable(error: OSError) -> int:
    """Standard output cannot be written: say so in a line."""
    from sparkctl.errors import SparkctlError
    from sparkctl.report.failure import write

    streams.give_up_output()
    write(SparkctlError(f"cannot write to standard output: {error.strerror or error}"))
    return 1


def _leave(code: int) -> None:
    """After Ctrl-C, hear no other one, nor wait for threads that wait for a node: they end with the connection."""
    import os
    import signal
    import threading

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if any(thread is not threading.main_thread() and not thread.daemon for thread in threading.enumerate()):
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
