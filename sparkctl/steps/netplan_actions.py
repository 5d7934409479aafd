"""Change a node's netplan by `sparkctl/node/netplan.py`, and keep the change only where the node still answers."""

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sparkctl.core.action import Context
from sparkctl.data import node_program
from sparkctl.errors import CommandFailed, SparkctlError, StepFailed, UnreachableError
from sparkctl.facts.netplan import BACK, FILE
from sparkctl.transport.session import Session

PROGRAM = "/run/sparkctl-netplan/netplan.py"
LOOK_SECONDS = 1.0
"""Between two tries to come in again."""
RETURN_SECONDS = 60.0
"""How long a node that went back is waited for; our choice: it is back in a few seconds, or in none."""
AT_ITS_CONSOLE = f"at its console: sudo rm {FILE} && sudo netplan apply; sudo journalctl -u {BACK}"


@dataclass(frozen=True)
class ChangeNetplan:
    """Put a netplan file in place, or what was there before ours, and apply it.

    The node goes back to what it had by a timer of its own unless a new SSH connection gets in within `seconds`.
    An empty `content` undoes. `links` are the interfaces in question, each with the address that it is to have;
    `record` is the node's file of what was there.
    """

    node: str
    content: str
    links: tuple[tuple[str, str], ...]
    record: str
    seconds: float

    @property
    def summary(self) -> str:
        """One line of the plan."""
        what = f"write {FILE} (mode 0600, owned by root)" if self.content else f"take {FILE} back to what was there"
        return f"{what}, and apply; the node returns by itself unless SSH answers within {self.seconds:g} s"

    @property
    def detail(self) -> str:
        """The file, or where the former one is kept."""
        return self.content.rstrip("\n") or f"as {self.record} has it"

    def perform(self, context: Context) -> None:
        """Raises CommandFailed (netplan refuses it), StepFailed (it went back), ConnectionLost."""
        session = context.session
        session.write(PROGRAM, node_program("netplan").encode(), mode=0o600, sudo=True)
        deadline = time.monotonic() + self.seconds
        try:
            _ask(session, "change" if self.content else "undo", self._job)
        except CommandFailed as error:
            fix = "nothing was changed; sparkctl setup --dry-run -v shows the file"
            raise StepFailed(f"{self.node} refuses the netplan", fix=fix, output=error.output) from error
        state: dict[str, Any] = {}
        while not (state.get("ended") or state.get("back")) and time.monotonic() < deadline:
            context.pause(LOOK_SECONDS)
            state = _come_in(session)
        if state.get("back") or not state.get("ended"):
            self._wait_for_return(context, deadline + RETURN_SECONDS)
        if state["error"]:
            self._send_back(context, state["error"])
        self._keep(context)

    @property
    def _job(self) -> dict[str, Any]:
        job = {"file": FILE, "links": dict(self.links), "seconds": self.seconds, "record": self.record}
        return {**job, "content": self.content} if self.content else job

    def _keep(self, context: Context) -> None:
        """Over a connection opened after the change, which may have come in when the node was on its way back."""
        try:
            context.session.reconnect()
            _ask(context.session, "keep")
        except (UnreachableError, CommandFailed):
            self._wait_for_return(context, time.monotonic() + self.seconds + RETURN_SECONDS)

    def _send_back(self, context: Context, error: str) -> None:
        """Netplan could not apply it: no need to wait for the timer. Raises StepFailed."""
        with suppress(SparkctlError):  # the timer does it otherwise
            context.session.run(("systemctl", "start", f"{BACK}.service"), sudo=True)
        what = f"netplan failed on {self.node}, which"
        if not _is_back(context, time.monotonic() + self.seconds + RETURN_SECONDS):
            raise StepFailed(f"{what} has not gone back to what it had", fix=AT_ITS_CONSOLE, output=error)
        fix = "sparkctl setup --dry-run -v shows the file; sudo journalctl -u systemd-networkd -u NetworkManager"
        raise StepFailed(f"{what} went back to what it had", fix=fix, output=error)

    def _wait_for_return(self, context: Context, deadline: float) -> None:
        """Raises StepFailed: the node cut itself off, and has come back, or has not."""
        context.say(f"{self.node} does not answer, or has gone back: waiting for the end of that")
        what = f"{self.node} did not answer over SSH within {self.seconds:g} s of its new netplan"
        if not _is_back(context, deadline):
            raise StepFailed(f"{what}, nor since it was to go back", fix=AT_ITS_CONSOLE)
        fix = "no fabric address may belong to the network by which you reach the node: FABRIC_CTRL_IP, "
        fix += "WORKER_IPS, setup.netplan in the profile; sparkctl setup --dry-run -v shows the file"
        raise StepFailed(f"{what}, so it went back to what it had", fix=fix)


def _is_back(context: Context, deadline: float) -> bool:
    """Whether the way back has come to its end in time: not before may its folder go."""
    while time.monotonic() < deadline:
        if _come_in(context.session).get("back"):
            with suppress(SparkctlError):
                _ask(context.session, "leave")
            return True
        context.pause(LOOK_SECONDS)
    return False


def _come_in(session: Session) -> dict[str, Any]:
    """What the node says of the change over a new connection; nothing while there is none."""
    try:
        session.reconnect()
        found = json.loads(_ask(session, "ended"))
    except (UnreachableError, CommandFailed, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _ask(session: Session, verb: str, job: dict[str, Any] | None = None) -> str:
    stdin = json.dumps(job).encode() if job else b""
    return session.run(("python3", "-IS", PROGRAM, verb), stdin=stdin, sudo=True, timeout=30).stdout
