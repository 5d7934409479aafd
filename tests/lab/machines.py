"""The machines of the lab as tests see them: looked at as a user does, and broken as hardware breaks."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.models.containers import Container

from sparkctl.lab import depot, host, login
from sparkctl.lab.spec import FABRIC_NIC, MANAGEMENT_NIC, Lab, LabNode


@dataclass(frozen=True)
class Machine:
    """One node of the lab. Every fault is a context, and mended at its end."""

    lab: Lab
    node: LabNode
    container: Container

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def address(self) -> str:
        return self.node.address

    @property
    def fabric_ip(self) -> str:
        return self.node.fabric_ip

    def ssh(
        self, command: str, *, check: bool = True, stdin: str | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command through the OpenSSH client, as the user of the node."""
        argv = [*login.ssh_argv(self.lab, self.node), command]
        return subprocess.run(argv, check=check, capture_output=True, text=True, input=stdin or "", timeout=timeout)

    def root(self, *argv: str, check: bool = True) -> str:
        """Run a command as root from outside, past network and sshd; answers its output."""
        rc, output = self.container.exec_run(list(argv))
        text = str(output.decode(errors="replace"))
        assert not check or rc == 0, f"{self.name}: {argv} ended with {rc}: {text}"
        return text

    def wait(self, limit: float = 180.0) -> None:
        """Return once SSH and the node's engine answer."""
        deadline = time.monotonic() + limit
        while trouble := login.try_docker(self.lab, self.node):
            assert time.monotonic() < deadline, f"{self.name}: {trouble}"
            time.sleep(0.2)

    @contextmanager
    def link_down(self, nic: str = FABRIC_NIC) -> Iterator[None]:
        """Pull the cable of the fabric, or of the management network."""
        self.root("ip", "link", "set", nic, "down")
        try:
            yield
        finally:
            self.root("ip", "link", "set", nic, "up")
            if nic == MANAGEMENT_NIC:
                self.root("ip", "route", "replace", "default", "via", self.lab.gateway, "dev", nic)

    @contextmanager
    def docker_stopped(self) -> Iterator[None]:
        """Stop the node's Docker engine, and keep its socket from waking it."""
        self.root("systemctl", "stop", "docker.socket", "docker.service")
        try:
            yield
        finally:
            self.root("systemctl", "start", "docker.socket", "docker.service")
            self.wait()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Freeze the whole node: connections stay open, and nothing answers."""
        self.container.pause()
        try:
            yield
        finally:
            self.container.unpause()
            self.wait()

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Take the power away, and give it back."""
        self.container.kill()
        try:
            yield
        finally:
            self.start()

    def start(self) -> None:
        """Power on, and wait until the node can be used."""
        self.container.start()
        self.wait()

    @contextmanager
    def full(self, folder: str) -> Iterator[None]:
        """Lay a file system of 1 MiB without free space over a folder that is there."""
        owner = self.root("stat", "-c", "%u:%g", folder).strip()
        uid, gid = owner.split(":")
        self.root("mount", "-t", "tmpfs", "-o", f"size=1m,uid={uid},gid={gid}", "tmpfs", folder)
        try:
            self.root("sh", "-c", f"cat /dev/zero > {folder}/.ballast", check=False)
            yield
        finally:
            self.root("umount", "-l", folder)

    @contextmanager
    def holding_gpu(self, pid: int = 4242, name: str = "python3", mebibytes: int = 20480) -> Iterator[None]:
        """Let nvidia-smi report a process of somebody else on the GPU."""
        self.root("sh", "-c", f"mkdir -p /run/lab; echo '{pid}, {name}, {mebibytes}' > /run/lab/compute-apps")
        try:
            yield
        finally:
            self.root("rm", "/run/lab/compute-apps")


@dataclass(frozen=True)
class TestLab:
    """The lab with its machines; the first is the head."""

    __test__ = False
    lab: Lab
    nodes: tuple[Machine, ...]
    depot: Container

    @property
    def head(self) -> Machine:
        return self.nodes[0]

    @property
    def worker(self) -> Machine:
        return self.nodes[1]

    @property
    def env_file(self) -> Path:
        return self.lab.env_file

    @contextmanager
    def slow_hub(self, bytes_per_second: int) -> Iterator[None]:
        """Throttle downloads from the model hub."""
        self._in_depot(f"echo {bytes_per_second} > /srv/hub/throttle")
        try:
            yield
        finally:
            self._in_depot("rm /srv/hub/throttle")

    @contextmanager
    def opening_token(self, token: str) -> Iterator[None]:
        """Let one more token open the gated model."""
        self._in_depot(f"echo {token} >> /srv/hub/tokens")
        try:
            yield
        finally:
            self._in_depot(f"sed -i /^{token}$/d /srv/hub/tokens")

    @contextmanager
    def hub_model(self, model: str, **files: str) -> Iterator[str]:
        """One more model on the hub, of these small files; `_` in a name stands for a dot. Answers its name."""
        folder = f"/srv/hub/repos/{model}"
        lines = [f"printf %s {shlex.quote(text)} > {folder}/{name.replace('_', '.')}" for name, text in files.items()]
        self._in_depot("\n".join((f"set -e; mkdir -p {folder}", *lines)))
        try:
            yield model
        finally:
            self._in_depot(f"rm -r {folder}")

    @contextmanager
    def depot_stopped(self) -> Iterator[None]:
        """Take registry and hub away."""
        self.depot.stop(timeout=1)
        try:
            yield
        finally:
            self.depot.start()
            depot.registry(docker.from_env(timeout=host.CALL_LIMIT), self.lab).wait()

    def _in_depot(self, script: str) -> None:
        rc, output = self.depot.exec_run(["sh", "-c", script])
        assert rc == 0, output


@dataclass(frozen=True)
class SparkctlRunner:
    """Runs `python -m sparkctl VERB --profile lab --env-file …`."""

    lab: TestLab

    def __call__(
        self, verb: str, *options: str, timeout: float = 600, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(verb, *options),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            env={**os.environ, **(env or {})},
            check=False,
        )

    def argv(self, verb: str, *options: str) -> Sequence[str]:
        """The command line, for tests that start it themselves."""
        where = ("--profile", "lab", "--env-file", str(self.lab.env_file))
        return [sys.executable, "-m", "sparkctl", verb, *where, *options]


def look_at(lab: Lab) -> TestLab:
    """The handles of a lab that is up."""
    client = docker.from_env(timeout=host.CALL_LIMIT)
    machines = [Machine(lab, node, client.containers.get(lab.resource(node.name))) for node in lab.nodes]
    return TestLab(lab, tuple(machines), client.containers.get(lab.resource("depot")))
