"""A real sshd on loopback for tests: its own configuration, port, keys and folder; ended by its process id."""

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sparkctl.topology import Node, Role
from sparkctl.transport.ssh import SshSession

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def make_key(path: Path, *, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A new private key at `path`, its public half beside it."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", path], check=True)
    return path


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def processes(marker: str) -> list[int]:
    """Processes other than this one whose command line holds the marker."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if marker in text and int(path.parent.name) != os.getpid():
            found.append(int(path.parent.name))
    return found


def gone(marker: str, seconds: float = 60.0) -> bool:
    """Whether no process with the marker is left, or is within so many seconds."""
    return eventually(lambda: not processes(marker), seconds)


def sleeper() -> str:
    """A number of seconds that no other process sleeps for."""
    return f"{secrets.randbelow(10**6) + 1000}.{secrets.randbelow(10**6)}"


def eventually(holds, seconds: float = 60.0) -> bool:  # type: ignore[no-untyped-def]
    """Whether `holds()` becomes true in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return bool(holds())
        time.sleep(0.02)
    return True


def works(session: SshSession) -> bool:
    """Whether a command runs; the session is closed then."""
    try:
        return session.run(["echo", "x"]).stdout == "x\n"
    finally:
        session.close()


@dataclass
class Sshd:
    """One server in `folder`, with a host key of each of `kinds`; `user_key` is the key that it lets in."""

    folder: Path
    kinds: tuple[str, ...] = ("ed25519",)
    extra: str = ""
    env: dict[str, str] = field(default_factory=dict)
    user: str = field(default_factory=getpass.getuser)
    port: int = field(default_factory=free_port)
    frozen: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.home = self.folder / "home"
        self.home.mkdir()
        self.user_key = make_key(self.folder / "user_key")
        self.known_hosts = self.folder / "known_hosts"
        (self.folder / "authorized").write_bytes(self.user_key.with_suffix(".pub").read_bytes())
        for kind in self.kinds:
            make_key(self.folder / f"host_{kind}", kind=kind)
        self.start()
        self.trust()

    def start(self) -> None:
        """Run the server until it listens."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            *(f"HostKey {self.folder}/host_{kind}" for kind in self.kinds),
            f"AuthorizedKeysFile {self.folder}/authorized",
            "PidFile none",
            "UsePAM no",
            "StrictModes no",
            "PermitRootLogin yes",
            "PasswordAuthentication no",
            "SetEnv " + " ".join(f"{name}={value}" for name, value in ({"HOME": self.home} | self.env).items()),
            self.extra,
        ]
        (self.folder / "config").write_text("\n".join(lines) + "\n")
        assert SSHD, "these tests need openssh-server"
        self.process = subprocess.Popen(
            [SSHD, "-D", "-f", self.folder / "config", "-E", self.folder / "log"], stdin=subprocess.DEVNULL
        )
        assert eventually(self._listens), (self.folder / "log").read_text()

    def stop(self) -> None:
        """End the server and all its connections, and what was frozen there."""
        for pid in {*self.frozen} & {*self._descendants(self.process.pid)}:
            _send(pid, signal.SIGKILL)
        self.drop_connections()
        self.process.terminate()
        self.process.wait(60)

    def drop_connections(self) -> None:
        """Kill the server's side of every open connection, as a reboot would."""
        for pid in self._descendants(self.process.pid):
            if "sshd" in _command(pid):
                _send(pid, signal.SIGKILL)

    def freeze(self) -> None:
        """Stop the server's side of every open connection, as in a machine that froze; `drop_connections` ends it.

        Parents first: a shell takes a child that was stopped for one that ended, and would say so.
        """
        self.frozen = self._descendants(self.process.pid)
        for pid in reversed(self.frozen):
            _send(pid, signal.SIGSTOP)

    def commands(self) -> list[int]:
        """What runs under the server, other than its own processes."""
        return [pid for pid in self._descendants(self.process.pid) if "sshd" not in _command(pid)]

    def trust(self) -> None:
        """Write the server's host keys into `known_hosts`."""
        keys = [(self.folder / f"host_{kind}.pub").read_text().split()[:2] for kind in self.kinds]
        self.known_hosts.write_text("".join(f"{self.name} {kind} {key}\n" for kind, key in keys))

    def fingerprint(self) -> str:
        """Of the server's Ed25519 key, as ssh-keygen shows it."""
        public = self.folder / "host_ed25519.pub"
        shown = subprocess.run(["ssh-keygen", "-lf", public], capture_output=True, text=True, check=True)
        return shown.stdout.split()[1]

    @property
    def name(self) -> str:
        """How known_hosts names the server."""
        return f"[127.0.0.1]:{self.port}"

    def node(self, **changes: object) -> Node:
        """A node at this server."""
        values = {
            "name": "spark-1",
            "role": Role.HEAD,
            "address": "127.0.0.1",
            "user": self.user,
            "port": self.port,
            "identity_file": str(self.user_key),
        }
        return Node(**(values | changes))  # type: ignore[arg-type]

    def open(self, **changes: object) -> SshSession:
        """A session to this server."""
        return SshSession(self.node(**changes), known_hosts=self.known_hosts, connect_timeout=60)

    def _listens(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def _descendants(self, pid: int) -> list[int]:
        try:
            children = [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:
            return []
        return [found for child in children for found in (*self._descendants(child), child)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _send(pid: int, number: signal.Signals) -> None:
    """To a process that may have ended since it was listed."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
