"""The real session: one Fabric connection per node, opened in parallel and kept for the whole run."""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko

from sparkctl.errors import CommandFailed, ConnectionLost, SparkctlError, UnreachableError
from sparkctl.topology import Cluster, Node
from sparkctl.transport import login
from sparkctl.transport.crowd import Watch, ask_all, unwatched
from sparkctl.transport.door import Door, NoPlace
from sparkctl.transport.exec import Capture, NoAnswer, OutOfTime, execute
from sparkctl.transport.failures import command_failed, shorten, shorten_script
from sparkctl.transport.hold import ChannelHold
from sparkctl.transport.hostkeys import Ask, KnownHosts
from sparkctl.transport.keys import Unlock
from sparkctl.transport.pulse import NoPulse, Pulse
from sparkctl.transport.session import Hold, Result
from sparkctl.transport.tunnel import forwarded
from sparkctl.transport.wrapper import Job, wrap_argv, wrap_hold, wrap_script, wrap_write

if TYPE_CHECKING:
    import docker
    import fabric

PROBE_SECONDS = 120.0
WRITE_SECONDS = 600.0
SYSTEM_HOSTS = Path("/etc/ssh/ssh_known_hosts")

# Its transport thread logs what is raised here as errors of our own; without a handler Python prints it.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class SshSession:
    """An open connection to one node; implements `transport.session.Session`. Safe to use from several threads.

    `round_trips` counts the channels that were opened, which is what a distant node charges for; `connections` how
    often SSH itself was.
    """

    def __init__(
        self,
        node: Node,
        *,
        known_hosts: Path | None = None,
        accept_new: bool = False,
        ask: Ask | None = None,
        unlock: Unlock | None = None,
        connect_timeout: float = 10,
    ) -> None:
        """Connect. `known_hosts` replaces the user's and the system's files; `ask(host, fingerprint)` decides on an
        unknown host key, `unlock(file)` returns the passphrase of a key; `connect_timeout` is in seconds, per hop.

        Raises UnreachableError, HostKeyError, LoginError.
        """
        files = [known_hosts] if known_hosts else [Path("~/.ssh/known_hosts").expanduser(), SYSTEM_HOSTS]
        self._hosts = KnownHosts(files, accept_new=accept_new, ask=ask)
        self._unlock = unlock
        self._connect_timeout = connect_timeout
        self._node = node
        self._count_lock = threading.Lock()
        self._docker_lock = threading.Lock()
        self._revival = threading.Lock()
        self._door = Door(self._transport)
        self._docker: docker.DockerClient | None = None
        self.round_trips = 0
        self.connections = 0
        self._connection = self._connect()

    @property
    def node(self) -> Node:
        """The node at the other end."""
        return self._node

    @property
    def user(self) -> str:
        """The user who is logged in, as the SSH configuration may have it."""
        return str(self._connection.user)

    def probe(self, script: str) -> str:
        """Run a script that changes nothing and return what it printed. Raises UnreachableError, ConnectionLost."""
        capture = Capture()
        try:
            self._execute(wrap_script(script), capture, PROBE_SECONDS, Pulse(self._transport))
        except OutOfTime as error:
            raise UnreachableError(
                f"{self._node.name} did not answer the probes within {PROBE_SECONDS:g} s", where=self._node.name
            ) from error
        return capture.stdout

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        sudo: bool = False,
        timeout: float | None = 60.0,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        """Run one command; see `transport.session.Session.run`."""
        job = wrap_argv(argv, stdin, sudo=self._sudo(sudo))
        return self._finish(shorten(argv), job, timeout, check, on_line)

    def script(
        self,
        text: str,
        *,
        stdin: bytes = b"",
        sudo: bool = False,
        timeout: float | None = 60.0,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        """Run a bash script; see `transport.session.Session.script`."""
        job = wrap_script(text, stdin, sudo=self._sudo(sudo))
        return self._finish(shorten_script(text), job, timeout, check, on_line)

    def write(self, path: str, content: bytes, *, mode: int = 0o644, sudo: bool = False) -> None:
        """Put a whole file in place atomically; see `transport.session.Session.write`."""
        job = wrap_write(path, content, mode, sudo=self._sudo(sudo))
        self._finish(f"write {path}", job, WRITE_SECONDS, True, None)

    @property
    def docker(self) -> "docker.DockerClient":
        """The node's engine over this connection. Raises CommandFailed."""
        from sparkctl.transport.docker import EngineSilent, connect_engine

        with self._docker_lock:
            if self._docker is None:
                try:
                    self._docker = connect_engine(self.open_channel)
                except EngineSilent as error:
                    raise command_failed(
                        "docker system dial-stdio", "no answer", str(error), node=self._node.name, user=self.user
                    ) from error
            return self._docker

    def forward(self, host: str, port: int) -> AbstractContextManager[int]:
        """A port on the laptop's loopback that leads to `host:port` as the node sees it."""
        return forwarded(self._transport, host, port)

    def hold(self, text: str, *, timeout: float = 30.0) -> Hold:
        """Start a bash script that stays; see `transport.session.HoldingSession.hold`."""
        channel, capture = self.open_channel(), Capture()
        try:
            return ChannelHold(channel, wrap_hold(text), capture, timeout)
        except (OutOfTime, NoAnswer, paramiko.SSHException, OSError, EOFError) as error:
            channel.close()
            if isinstance(error, OutOfTime):
                raise self._failed(shorten_script(text), f"said nothing within {timeout:g} s", capture) from error
            if capture.rc < 0:
                raise self._lost() from error
            raise self._failed(shorten_script(text), f"ended with status {capture.rc}", capture) from error

    def reconnect(self) -> None:
        """Open the connection anew, so that a new group membership counts. Raises UnreachableError."""
        with self._revival:
            self._renew()

    def revive(self) -> None:
        """Open the connection anew if it is broken, once for all threads that ask. Raises UnreachableError."""
        with self._revival:
            try:
                self.open_channel().close()
            except ConnectionLost:
                self._renew()

    def close(self) -> None:
        """End the connection; a command that another thread waits for raises ConnectionLost there."""
        engine, self._docker = self._docker, None
        if engine is not None:
            engine.close()
        login.close(self._connection)

    def open_channel(self) -> paramiko.Channel:
        """A fresh channel, to be closed by the caller. Raises ConnectionLost, CommandFailed (too many are open)."""
        try:
            channel = self._door.open()
        except NoPlace as error:
            raise self._too_many(error) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._lost() from error
        self._count()
        return channel

    def _renew(self) -> None:
        self.close()
        self._connection = self._connect()

    def _connect(self) -> "fabric.Connection":
        self.connections += 1
        return login.connect(self._node, self._hosts, timeout=self._connect_timeout, unlock=self._unlock)

    def _transport(self) -> paramiko.Transport:
        transport: paramiko.Transport | None = self._connection.client.get_transport()
        if transport is None or not transport.is_active():
            raise self._lost()
        return transport

    def _sudo(self, wanted: bool) -> bool:
        return wanted and self.user != "root"

    def _finish(
        self, title: str, job: Job, timeout: float | None, check: bool, on_line: Callable[[str], None] | None
    ) -> Result:
        capture = Capture(on_line)
        try:
            self._execute(job, capture, timeout)
        except OutOfTime as error:
            raise self._failed(title, f"did not end within {timeout:g} s", capture) from error
        if not capture.started or (check and capture.rc):
            raise self._failed(title, f"ended with status {capture.rc}", capture)
        return Result(capture.stdout, capture.stderr, capture.rc)

    def _execute(self, job: Job, capture: Capture, timeout: float | None, pulse: Pulse | None = None) -> None:
        try:
            with self._door.passage(stream=timeout is None) as channel:
                self._count()
                execute(channel, job, capture, timeout, pulse)
        except NoPlace as error:
            raise self._too_many(error) from error
        except (NoAnswer, NoPulse, paramiko.SSHException, OSError, EOFError) as error:
            raise self._lost() from error

    def _count(self) -> None:
        with self._count_lock:
            self.round_trips += 1

    def _failed(self, title: str, ending: str, capture: Capture) -> CommandFailed:
        output = capture.stderr if capture.stderr.strip() else capture.stdout
        return command_failed(title, ending, output, node=self._node.name, user=self.user)

    def _too_many(self, error: NoPlace) -> CommandFailed:
        return CommandFailed(
            f"{self._node.name} refuses another SSH session: {error}",
            where=self._node.name,
            fix="raise MaxSessions in the node's sshd_config (the usual value is 10)",
        )

    def _lost(self) -> ConnectionLost:
        """The connection ended, or it stands and nobody answers: a machine that froze does not close it."""
        transport, name = self._connection.client.get_transport(), self._node.name
        if transport is not None and transport.is_active():
            fix = "has it frozen, or run out of memory? its console tells; then run the same command again"
            return ConnectionLost(f"{name} does not answer any more", where=name, fix=fix)
        fix = "run the same command again: it goes on from what the nodes hold"
        return ConnectionLost(f"the connection to {name} broke", where=name, fix=fix)


def open_all(
    cluster: Cluster,
    *,
    known_hosts: Path | None = None,
    accept_new: bool = False,
    ask: Ask | None = None,
    unlock: Unlock | None = None,
    watch: Watch = unwatched,
) -> dict[str, SshSession]:
    """Connect to every node at once; sessions by node name, in rank order.

    Raises the error of the one node that failed, or UnreachableError naming all that did; none is left open then.
    """

    def open_one(node: Node) -> SshSession | SparkctlError:
        try:
            return SshSession(node, known_hosts=known_hosts, accept_new=accept_new, ask=ask, unlock=unlock)
        except SparkctlError as error:
            return error

    outcomes = ask_all({node.name: partial(open_one, node) for node in cluster.nodes}, watch)
    sessions = {name: opened for name, opened in outcomes.items() if isinstance(opened, SshSession)}
    failures = {name: error for name, error in outcomes.items() if isinstance(error, SparkctlError)}
    if failures:
        for session in sessions.values():
            session.close()
        raise _together(failures)
    return sessions


def _together(failures: dict[str, SparkctlError]) -> SparkctlError:
    if len(failures) == 1:
        return next(iter(failures.values()))
    kinds = {type(error) for error in failures.values()}
    kind = kinds.pop() if len(kinds) == 1 else UnreachableError
    return kind(
        f"{len(failures)} nodes are out of reach: " + "; ".join(error.what for error in failures.values()),
        where=", ".join(failures),
        fix="; ".join(dict.fromkeys(error.fix for error in failures.values() if error.fix)),
    )
