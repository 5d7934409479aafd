"""The actions of the model store `nfs` on workers: one line of fstab, the mount, and the token that proves it."""

import secrets
import shlex
from dataclasses import dataclass

from sparkctl.core.action import Context
from sparkctl.errors import StepFailed
from sparkctl.topology import Cluster, Node

READ_TRIES = 10
"""How often a worker looks for the token, a second apart: NFS clients cache attributes for seconds (nfs(5))."""


def token_path(cluster: Cluster, worker: Node, folder: str) -> str:
    """The token for one worker, below the shared folder as one node sees it."""
    return f"{folder}/.sparkctl/{cluster.name}-{worker.name}"


@dataclass(frozen=True)
class AddToFstab:
    """Put our line at the end of /etc/fstab, in place of an older one of ours."""

    cluster: Cluster
    line: str

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return "add the mount to /etc/fstab"

    @property
    def detail(self) -> str:
        """What is added."""
        return f"{_comment(self.cluster)}\n{self.line}"

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        added = f"printf '%s\\n%s\\n' {shlex.quote(_comment(self.cluster))} {shlex.quote(self.line)}"
        context.session.script(edit_fstab(self.cluster, added), sudo=True)


@dataclass(frozen=True)
class DropFromFstab:
    """Take our line out of /etc/fstab, and stop waiting for the mount to be used."""

    cluster: Cluster
    folder: str

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return "take the mount out of /etc/fstab"

    @property
    def detail(self) -> str:
        """What marks the line."""
        return f"the line with x-sparkctl={self.cluster.name}, and the comment above it"

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        context.session.script(edit_fstab(self.cluster, "true") + _stop_automount(self.folder), sudo=True)


@dataclass(frozen=True)
class Mount:
    """Mount a folder by its line of fstab."""

    folder: str

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"mount {self.folder}"

    @property
    def detail(self) -> str:
        """The command as one would type it."""
        return f"sudo mount {shlex.quote(self.folder)}"

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        context.session.run(("mount", self.folder), sudo=True, timeout=90)


@dataclass(frozen=True)
class Detach:
    """Unmount a folder; one that is stale or in use is detached, so that nothing can hang on it."""

    folder: str

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"unmount {self.folder}"

    @property
    def detail(self) -> str:
        """The commands. To stop an automount is to unmount what it mounted: there may be nothing left to do."""
        folder = shlex.quote(self.folder)
        return (
            f"{_stop_automount(self.folder)}{_leave_unless_mounted(folder)}"
            f"timeout 10 umount {folder} || umount -f -l {folder}\n"
        )

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        context.session.script(self.detail, sudo=True)


@dataclass(frozen=True)
class ReadBack:
    """Write a random token on the head, and read it on a worker through the mount."""

    cluster: Cluster
    worker: Node
    source: str
    folder: str

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"write a token on {self.cluster.head.name} and read it on {self.worker.name} through the mount"

    @property
    def detail(self) -> str:
        """Where."""
        return token_path(self.cluster, self.worker, self.source)

    def perform(self, context: Context) -> None:
        """Raises StepFailed when another content or nothing comes back, CommandFailed, ConnectionLost."""
        token = f"{secrets.token_hex(16)}\n"
        head = context.peers[self.cluster.head.name]
        head.write(self.detail, token.encode())
        read = ("timeout", "-k", "1", "5", "cat", token_path(self.cluster, self.worker, self.folder))
        for _ in range(READ_TRIES):
            result = context.session.run(read, check=False)
            if result.rc == 0 and result.stdout.strip() == token.strip():
                return
            context.pause(1.0)
        raise StepFailed(
            f"{self.worker.name} does not see through its mount what {self.cluster.head.name} wrote",
            where=self.worker.name,
            fix=f"compare: ls -la {self.folder}/.sparkctl on both nodes; showmount -e {self.cluster.head.data_ip}",
            output=result.stderr or result.stdout,
        )


@dataclass(frozen=True)
class RemoveToken:
    """Remove the token on the head, and its folder when it was the last."""

    cluster: Cluster
    worker: Node
    source: str

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"remove the token for {self.worker.name}"

    @property
    def detail(self) -> str:
        """The commands."""
        path = token_path(self.cluster, self.worker, self.source)
        folder = shlex.quote(path.rpartition("/")[0])
        return f"rm -f {shlex.quote(path)}\nrmdir {folder} 2>/dev/null || true\n"

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        context.peers[self.cluster.head.name].script(self.detail)


def _comment(cluster: Cluster) -> str:
    return f"# managed by sparkctl: cluster {cluster.name}"


def edit_fstab(cluster: Cluster, added: str, file: str = "/etc/fstab") -> str:
    """Replace our lines, atomically, with owner and mode kept; systemd then reads the file anew."""
    comment = shlex.quote(_comment(cluster))
    return f"""\
set -euo pipefail
file={shlex.quote(file)}
new=$(mktemp "$file.XXXXXX")
trap 'rm -f "$new"' EXIT
cp -p "$file" "$new"
{{ comment={comment} awk '$0 != ENVIRON["comment"] && !/^[^#].*[ \\t,]x-sparkctl={cluster.name}([, \\t]|$)/' "$file"
{added}
}} >"$new"
mv "$new" "$file"
! command -v systemctl >/dev/null || systemctl daemon-reload
"""


def _stop_automount(folder: str) -> str:
    return f'systemctl stop "$(systemd-escape -p --suffix=automount {shlex.quote(folder)})" 2>/dev/null || true\n'


def _leave_unless_mounted(folder: str) -> str:
    """Ask the kernel's table: who looks at the folder itself may hang on it."""
    return (
        f'at=$(readlink -m "$(dirname {folder})")/$(basename {folder})\n'
        "awk '{ print $5 }' /proc/self/mountinfo | grep -qxF -e \"${at// /\\\\040}\" || exit 0\n"
    )
