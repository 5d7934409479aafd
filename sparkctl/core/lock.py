"""One run at a time: a lock on the head, held by a process that lives no longer than the connection.

The kernel drops an flock with the process that holds it, and the process ends with the channel; so the lock cannot
go stale, and nothing is left to be removed by hand.
"""

import getpass
import os
import re
import shlex
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import quote

from sparkctl.errors import LockedError, UnreachableError
from sparkctl.transport.session import Hold, HoldingSession
from sparkctl.transport.wrapper import SILENCE_SECONDS

FOLDER = "/run/lock"
KEEPER = "keeper"
"""What the head's keeper says it runs (node/keeper/watch.py)."""

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
    last=$(head -c 300 -- "$file" | tr -d '\n')
    printf '%s\t%s' "$who" "$(date -u +%FT%TZ)" | dd of="$file" conv=nocreat status=none || exit 1
    printf 'held\t%s\n' "$last"
    exec sleep infinity
  fi
  holder=$(head -c 300 -- "$file" | tr -d '\n')
  [ -n "$holder" ] && break
  sleep 0.1
done
printf 'busy\t%s\n' "$holder"
"""


class Lock:
    """The cluster is ours, until the block is left or the connection breaks."""

    def __init__(self, session: HoldingSession, cluster: str, verb: str) -> None:
        """Take it. Raises LockedError naming the holder, CommandFailed, ConnectionLost."""
        self._session, self._cluster = session, cluster
        self._who = f"{getpass.getuser()}@{socket.gethostname()}\t{verb}\t{os.getpid()}"
        self._mutex = threading.Lock()
        self._last = ""
        self._lost: LockedError | None = None
        if line := self._try():
            raise _locked(cluster, line)

    def is_held(self) -> bool:
        """Whether it still is, as far as the connection tells."""
        return self._hold.alive()

    def keep(self) -> None:
        """Take it anew where the connection that held it is gone; call it before every change.

        The process of the old connection may outlive it by SILENCE_SECONDS: it is waited for. Raises LockedError
        where somebody else was faster, or has been there meanwhile, UnreachableError. The head's keeper may have been:
        it refuses by itself what is not on record any more.
        """
        with self._mutex:
            if self._lost:
                raise self._lost
            if self.is_held():
                return
            self._session.revive()
            deadline = time.monotonic() + SILENCE_SECONDS + 10
            while f"\t{self._who}\t" in (line := self._try()) and time.monotonic() < deadline:
                time.sleep(0.5)
            if line:
                raise _locked(self._cluster, line)
            self._lost = self._between()
            if self._lost:
                self.release()
                raise self._lost

    def forget(self) -> None:
        """Remove the file, as far as we may, while the lock is held: whoever comes next makes a new one."""
        with suppress(UnreachableError):
            self._session.run(("rm", "-f", "--", lock_path(self._cluster)), check=False)

    def release(self) -> None:
        """Let others in."""
        self._hold.release()

    def _between(self) -> LockedError | None:
        """Who else had the lock while we had lost it, in an error's words."""
        who, verb, *_ = [*self._last.split("\t"), ""]
        if not self._last or self._last.startswith(f"{self._who}\t") or verb == KEEPER:
            return None
        what = f"{_plain(who)} has changed cluster {self._cluster} while the connection was lost"
        return LockedError(what, where=self._cluster, fix="run it again: what is left to do is found anew")

    def _try(self) -> str:
        """Nothing, or who has it."""
        self._hold: Hold = self._session.hold(_script(self._cluster, self._who))
        state, _, self._last = self._hold.first_line.partition("\t")
        if state == "held":
            return ""
        self._hold.release()
        return self._hold.first_line


@contextmanager
def held(session: HoldingSession, cluster: str, verb: str, *, forget: bool = False) -> Iterator[Lock]:
    """Keep every other run away from a cluster; `session` is the head's, `verb` what other runs are told.

    With `forget` no file is left on the head, where a run leaves who ran last.
    Raises LockedError naming the holder, CommandFailed, ConnectionLost.
    """
    lock = Lock(session, cluster, verb)
    try:
        yield lock
    finally:
        if forget:
            lock.forget()
        lock.release()


def _script(cluster: str, who: str) -> str:
    return f"file={shlex.quote(lock_path(cluster))} who={shlex.quote(who)}\n{_SCRIPT}"


def lock_path(cluster: str) -> str:
    """The file on the head."""
    return f"{FOLDER}/sparkctl-{quote(cluster, safe='')}.lock"


def _plain(field: str) -> str:
    return re.sub(r"[^\x20-\x7e]", "?", field)[:80]


def _locked(cluster: str, line: str) -> LockedError:
    # The file is open to all users of the head: show nothing of it that could act on a terminal.
    fields = [_plain(field) for field in line.split("\t")[1:]]
    who, verb, process, since = [*fields, "", "", "", ""][:4]
    who = who or "somebody"
    moment = re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\dZ$", r"\1 \2 UTC", since)
    moment = f" since {moment}" if moment else ""
    if verb == KEEPER:
        return _kept(cluster, who, moment)
    number = process if process.isdecimal() else ""
    host = who.rpartition("@")[2] if re.fullmatch(r"[\w.-]+@[\w.-]+", who) else ""
    return LockedError(
        f"cluster {cluster} is locked by {who}"
        + (f", who runs `sparkctl {verb}`" if verb else "")
        + (f" (process {number})" if number else "")
        + moment,
        where=cluster,
        fix="wait until that run ends, or end it by Ctrl-C there"
        + (f", or on {host}: kill {number}" if host and number else ""),
    )


def _kept(cluster: str, who: str, moment: str) -> LockedError:
    """The keeper is no run that anybody should end: it comes to an end by itself, mostly within a second."""
    what = f"cluster {cluster} is locked by its keeper ({who}){moment}, "
    return LockedError(
        what + "which finishes a change or brings back what served",
        where=cluster,
        fix="try again in a moment; where an engine has to load, when it has; to watch it, on the head: "
        f"sudo journalctl -fu sparkctl-keeper-{cluster}",
    )
