"""The few lines of bash that carry every remote command, and end it when the connection ends.

The program travels over the channel's standard input, so neither argv nor script nor data stands on a command line
of ours, and the login shell sees nothing that it could misread. After the program come the command's own standard
input and one newline; then the channel stays silent until it ends. A watcher process reads it: an end before the
command's means that the laptop is gone, and the command's process group is ended, first by TERM, then by KILL.

One gap is left: while a command does not read its standard input, the rest of which is larger than a pipe holds
(64 KiB), the end of the connection goes unnoticed until it reads or ends.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

MARK = b"\x01sparkctl\x02\n"
"""What the wrapper prints before the command's own output; before it comes what a `.bashrc` may print."""

GRACE_SECONDS = 5
"""Between TERM and KILL."""

SILENCE_SECONDS = 90
"""After how long without a sign of life a held script ends: TCP alone takes two hours to notice a laptop gone dark."""

# Not a coprocess: bash forgets the pid and the pipes of one that ends at once. Nor `wait -f`, which would outlast a
# command that somebody stops: bash 5.2 calls it for ever where it has forgotten the process.
_WRAPPER = r"""
printf '\001sparkctl\002\n'
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
set -m
exec 3>&2 2>/dev/null
@OPEN@
{ @BODY@
} <&5 2>&3 3>&- 5<&- 6>&- &
c=$!
exec 3>&- 5<&-
( LC_ALL=C
@FEED@
read -rN1 _ && exec 6>&- && while @LISTEN@; do :; done
kill -TERM -- -$c
sleep @GRACE@
kill -KILL -- -$c ) >/dev/null &
w=$!
exec 6>&-
wait $c
rc=$?
kill -KILL -- -$c
kill -KILL -- -$w
exit $rc
"""

_NO_INPUT = "exec 5</dev/null 6>/dev/null"
_PIPE = "exec 9<> <(:); exec 5</dev/fd/9 6>/dev/fd/9 9>&-"

_WRITE = r"""
set -e
umask "$umask"
mkdir -p -- "$(dirname -- "$path")"
new=$(mktemp -- "$path.XXXXXXXXXX")
trap 'rm -f -- "$new"' EXIT
cat >"$new"
[ "$(stat -c %s -- "$new")" = "$size" ]
chmod "$mode" -- "$new"
sync -- "$new"
mv -fT -- "$new" "$path"
sync -- "$(dirname -- "$path")" 2>/dev/null || :
"""
"""On the disk before it has its name, or a power cut leaves an empty file; a folder may be closed to its reader."""


@dataclass(frozen=True)
class Job:
    """A remote command as bytes: what the login shell is asked to run, and what is sent after it."""

    command: str
    payload: bytes


def wrap_argv(argv: Sequence[str], stdin: bytes = b"", *, sudo: bool = False) -> Job:
    """A job that runs one program, never a builtin of the shell. Raises ValueError for NUL or an empty argv."""
    if not argv:
        raise ValueError("argv is empty")
    return _job(f"exec -- {shlex.join(argv)}", stdin, sudo)


def wrap_script(text: str, stdin: bytes = b"", *, sudo: bool = False) -> Job:
    """A job that runs a bash script. Raises ValueError for NUL."""
    return _job(f"eval {shlex.quote(text)}", stdin, sudo)


def wrap_write(path: str, content: bytes, mode: int, *, sudo: bool = False) -> Job:
    """A job that puts a file in place atomically, with its folders; see `Session.write`. Raises ValueError for NUL.

    The temporary file stands in the same folder, under a name that nobody can guess. A size that differs from what
    was sent is a cut connection, and the old file stays.
    """
    secret = mode & 0o077 == 0
    words = {"path": path, "size": str(len(content)), "mode": f"{mode:04o}", "umask": "077" if secret else "022"}
    head = "".join(f"{name}={shlex.quote(value)}\n" for name, value in words.items())
    return wrap_script(head + _WRITE, content, sudo=sudo)


def wrap_hold(text: str) -> Job:
    """A job that runs a bash script for as long as a newline arrives at least every SILENCE_SECONDS."""
    return _job(f"eval {shlex.quote(text)}", b"", False, listen=f"read -rN1 -t{SILENCE_SECONDS} _")


def _job(body: str, stdin: bytes, sudo: bool, listen: str = "read -rN65536 _") -> Job:
    if "\0" in body:
        raise ValueError("a command cannot hold a NUL character")
    parts = {
        "@OPEN@": _PIPE if stdin else _NO_INPUT,
        "@FEED@": f"head -c{len(stdin)} >&6" if stdin else "",
        "@LISTEN@": listen,
        "@GRACE@": str(GRACE_SECONDS),
        "@BODY@": body,  # last, since it may hold anything
    }
    text = _WRAPPER
    for mark, part in parts.items():
        text = text.replace(mark, part)
    program = text.encode("utf-8", "surrogateescape")
    read = f'LC_ALL=C IFS= read -rN{len(program)} w && eval "$w"'
    prefix = "sudo -n " if sudo else "exec "
    return Job(f"{prefix}bash --norc -c '{read}' sparkctl", program + stdin + b"\n")
