"""The way in: `--version` at once, every other command through the one error boundary."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        code = _print_version() if sys.argv[1:] in (["--version"], ["-V"]) else _guarded(sys.argv[1:])
        print(end="", flush=True)
    except BrokenPipeError:
        code = _leave_pipe()
    if code == 130:
        _leave_threads(code)
    sys.exit(code)


def _print_version() -> int:
    from sparkctl import __version__

    print(f"sparkctl {__version__}")
    return 0


def _guarded(argv: list[str]) -> int:
    """The exit code of a command; whatever it raises becomes a message."""
    import os

    from sparkctl.cli.app import invoke

    _encode_anything()
    try:
        return _complete(argv, shell) if (shell := os.environ.get("_SPARKCTL_COMPLETE")) else invoke(argv)
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:
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


def _leave_threads(code: int) -> None:
    """After Ctrl-C, do not wait for threads that wait for a node; what they run there ends with the connection."""
    import os
    import threading

    if any(thread is not threading.main_thread() and not thread.daemon for thread in threading.enumerate()):
        sys.stderr.flush()
        os._exit(code)


def _leave_pipe() -> int:
    """The reader of our output left: keep the interpreter from flushing into the closed pipe."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141  # what a shell reports of a program that died of SIGPIPE


if __name__ == "__main__":
    main()
