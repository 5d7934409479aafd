"""One run at a time: a lock on the head, held by a process that lives no longer than the connection.

The kernel drops an flock with the process that holds it, and the process ends with the channel; so the lock cannot
go stale, and nothing is left to be removed by hand.
"""

import getpass
import re
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

from sparkctl.errors import LockedError
from sparkctl.transport.session import Hold, HoldingSession

FOLDER = "/run/lock"

# The folder is sticky and open to all, so fs.protected_regular forbids to open the file of another user with O_CREAT:
# it is made with O_EXCL, opened for reading, which is enough for flock, and written by dd with nocreat.
_SCRIPT = r"""
[ -e "$file" ] || (umask 0; set -C; : >"$file") 2>/dev/null
for _ in 1 2 3 4 5; do
  if [ -L "$file" ] || [ ! -f "$file" ]; then echo "$file is not a plain file" >&2; exit 1; fi
  exec 9<"$file" || exit 1
  if flock -n 9; then
    # Somebody may have removed the file in between; the lock of a removed file keeps nobody out.
    [ "$file" -ef /proc/self/fd/9 ] || continue
    printf '%s\t%s' "$who" "$(date -u +%FT%TZ)" | dd of="$file" conv=nocreat status=none || exit 1
    echo held
    exec sleep infinity
  fi
  holder=$(head -c 300 -- "$file" | tr -d '\n')
  [ -n "$holder" ] && break
  sleep 0.1
done
printf 'busy\t%s\n' "$holder"
"""


@dataclass(frozen=True)
class Lock:
    """The cluster is ours, until the block is left or the connection breaks."""

    hold: Hold

    def is_held(self) -> bool:
        """Whether it still is; ask before every step that changes something."""
        return self.hold.alive()


@contextmanager
def held(session: HoldingSession, cluster: str, verb: str) -> Iterator[Lock]:
    """Keep every other run away from a cluster; `session` is the head's, `verb` what other runs are told.

    Raises LockedError naming the holder, CommandFailed, ConnectionLost.
    """
    hold = session.hold(_script(cluster, f"{getpass.getuser()}@{socket.gethostname()}\t{verb}"))
    try:
        if hold.first_line != "held":
            raise _locked(cluster, hold.first_line)
        yield Lock(hold)
    finally:
        hold.release()


def _script(cluster: str, who: str) -> str:
    path = f"{FOLDER}/sparkctl-{quote(cluster, safe='')}.lock"
    return f"file={shlex.quote(path)} who={shlex.quote(who)}\n{_SCRIPT}"


def _locked(cluster: str, line: str) -> LockedError:
    # The file is open to all users of the head: show nothing of it that could act on a terminal.
    fields = [re.sub(r"[^\x20-\x7e]", "?", field)[:80] for field in line.split("\t")[1:]]
    who, verb, since = [*fields, "", "", ""][:3]
    return LockedError(
        f"cluster {cluster} is locked by {who or 'somebody'}"
        + (f", who runs `sparkctl {verb}`" if verb else "")
        + (f" since {since}" if since else ""),
        where=cluster,
        fix="wait until that run ends, or end it: the lock goes with it",
    )
