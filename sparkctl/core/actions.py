"""The general actions that steps are made of: plain data, shown by a plan and performed by an executor."""

import shlex
from contextlib import suppress
from dataclasses import dataclass, field

from sparkctl.core.action import Context
from sparkctl.errors import Interrupted

APT_SECONDS = 1800.0
"""How long an installation may take; our choice: a slow mirror and a held lock together."""

# With a terminal of its own dpkg would live in a session of its own, outlive a cut connection and keep the lock.
# `apt-get check` waits for the lock, and fails where dpkg was interrupted. dpkg's own remedy finishes what is
# unpacked; what is not must be unpacked anew, which apt does on demand only.
_PRELUDE = """\
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
apt() {
  apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold "$@"
}
apt check >/dev/null 2>&1 || dpkg --force-confold --configure -a
torn=$(dpkg-query -W -f '${db:Status-Eflag} ${Package}\\n' | awk '$1 == "reinstreq" { print $2 }')
[ -z "$torn" ] || apt install --reinstall $torn
"""


@dataclass(frozen=True)
class Run:
    """Run one command; `timeout` in seconds."""

    summary: str
    argv: tuple[str, ...]
    sudo: bool = False
    timeout: float | None = 60.0

    @property
    def detail(self) -> str:
        """The command as one would type it."""
        return "sudo " * self.sudo + shlex.join(self.argv)

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        context.session.run(self.argv, sudo=self.sudo, timeout=self.timeout)


@dataclass(frozen=True)
class Script:
    """Run a bash script; what it prints is shown as progress. `timeout` in seconds."""

    summary: str
    text: str
    sudo: bool = False
    timeout: float | None = 60.0

    @property
    def detail(self) -> str:
        """The script itself."""
        return self.text.strip()

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        context.session.script(self.text, sudo=self.sudo, timeout=self.timeout, on_line=context.say)


@dataclass(frozen=True)
class WriteFile:
    """Put a whole file in place. A `secret` content is shown by its length only."""

    path: str
    content: str = field(repr=False)
    mode: int = 0o644
    sudo: bool = False
    secret: bool = False

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"write {self.path} (mode {self.mode:04o}{', owned by root' * self.sudo})"

    @property
    def detail(self) -> str:
        """The content, as it will stand in the file."""
        return f"({len(self.content)} characters, secret)" if self.secret else self.content.rstrip("\n")

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        context.session.write(self.path, self.content.encode(), mode=self.mode, sudo=self.sudo)


@dataclass(frozen=True)
class RemoveFile:
    """Remove one file, if it is there."""

    path: str
    sudo: bool = False

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"remove {self.path}"

    @property
    def detail(self) -> str:
        """The command as one would type it."""
        return "sudo " * self.sudo + shlex.join(("rm", "-f", "--", self.path))

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        context.session.run(("rm", "-f", "--", self.path), sudo=self.sudo)


@dataclass(frozen=True)
class Reconnect:
    """Open the connection anew, so that a new group membership counts."""

    summary: str = "open the connection anew"
    detail: str = ""

    def perform(self, context: Context) -> None:
        """Raises UnreachableError."""
        context.session.reconnect()


@dataclass(frozen=True)
class InstallPackages:
    """Install Debian packages. Every package that this brings in goes on `record` before it is installed.

    Waits for another holder of apt's lock, asks nothing, restarts no services (a node's engine may be at work), and
    refreshes the lists only when they do not know a package or its file is gone from the mirror. Finishes what a run
    before it left half installed, and is itself not stopped half way.
    """

    packages: tuple[str, ...]
    record: str

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"install {', '.join(self.packages)}"

    @property
    def detail(self) -> str:
        """The command at the heart of it."""
        return f"sudo apt-get install -y --no-install-recommends {shlex.join(self.packages)}"

    @property
    def text(self) -> str:
        """The script; a line of `apt-get -s` is `Inst name (version …)`, with `[old version]` for an upgrade."""
        return f"""\
{_PRELUDE}\
wanted=({shlex.join(self.packages)})
install() {{ apt install --no-install-recommends "$@" "${{wanted[@]}}"; }}
plan=$(install -s 2>/dev/null) || {{ apt update; plan=$(install -s); }}
printf '%s\\n' "$plan" | awk '$1 == "Inst" && $3 !~ /^\\[/ {{ print $2 }}' >>{shlex.quote(self.record)}
install || {{ apt update; install; }}
"""

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        _apt(context, self.text)


@dataclass(frozen=True)
class RemovePackages:
    """Remove exactly the packages on record, configuration included, and none at all if anything else needs one.

    `after` is bash that tidies up where the record was.
    """

    packages: tuple[str, ...]
    record: str
    after: str = ""

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"remove the packages that sparkctl installed: {', '.join(self.packages)}"

    @property
    def detail(self) -> str:
        """The script itself."""
        return f"""\
{_PRELUDE}\
ours=({shlex.join(self.packages)})
purge() {{ apt "$@" purge "${{ours[@]}}"; }}
others=$(purge -s | awk '$1 == "Remv" || $1 == "Purg" {{ print $2 }}' | sort -u |
  grep -vxF -f <(printf '%s\\n' "${{ours[@]}}") || true)
if [ -n "$others" ]; then echo "kept, as other packages need them:" $others; else purge; fi
rm -f {shlex.quote(self.record)}
{self.after}"""

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        _apt(context, self.detail)


def _apt(context: Context, text: str) -> None:
    """Run it to its end, also when the run is asked to stop: a minute more is better than a half-done dpkg."""

    def on_line(line: str) -> None:
        with suppress(Interrupted):
            context.say(line)

    context.session.script(text, sudo=True, timeout=APT_SECONDS, on_line=on_line)
