"""The memory watchdog: its judgement, and the program itself against kernel files of ours and a real Docker engine."""

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container
from hypothesis import given
from hypothesis import strategies as st
from sshd import eventually
from tiny_image import busybox_image

from sparkctl.node import watchdog
from sparkctl.node.watchdog import Config, Judge, Look, Verdict, Watchdog

GIB = 2**30
CONFIG = Config(
    cluster="lab",
    spec="0123456789ab",
    order=["vllm", "ray-"],
    floor=3 * GIB,
    low=6 * GIB,
    low_seconds=5,
    pressure=20,
    pressure_seconds=5,
    stop_seconds=60,
    trips="/nowhere",
)
ENGINE = pytest.mark.skipif(not Path("/var/run/docker.sock").exists(), reason="no Docker engine here")


def verdicts(*available: float, stalled: float | None = None) -> list[bool | None]:
    """For one look a second, None where nothing is to be done, else whether to kill."""
    judge = Judge(CONFIG)
    looks = (Look(int(gib * GIB), 120 * GIB, stalled, 1.0) for gib in available)
    return [verdict and verdict.kill for verdict in map(judge.judge, looks)]


@pytest.mark.parametrize(
    ("available", "stalled", "found"),
    [
        ((8, 2, 8, 2, 8), None, [None] * 5),  # one reading below the floor
        ((8, 2, 2), None, [None, None, True]),
        ((5, 5, 5, 5, 5), None, [None] * 4 + [False]),
        ((5, 5, 5, 9, 5, 5, 5), None, [None] * 6 + [False]),  # a short recovery does not clear a long want
        ((5, 9, 5, 9, 5, 9, 5, 9, 5, 9), None, [None] * 10),  # dips
        ((9, 9, 9, 9, 9), 30.0, [None] * 4 + [False]),  # every task waits
        ((9, 9, 9, 9, 9), 10.0, [None] * 5),
        ((50, 50, 50, 50, 50, 50), 90.0, [None] * 6),  # a limit of somebody's control group, not the machine's
    ],
)
def test_judgement(available: tuple[float, ...], stalled: float | None, found: list[bool | None]) -> None:
    assert verdicts(*available, stalled=stalled) == found


@given(st.lists(st.floats(6, 120), max_size=60))
def test_nothing_is_done_while_enough_is_available(available: list[float]) -> None:
    assert not any(verdict is not None for verdict in verdicts(*available))


def test_a_verdict_says_why() -> None:
    judge = Judge(CONFIG)
    look = Look(2 * GIB, 120 * GIB, None, 1.0)
    assert (judge.judge(look), judge.judge(look)) == (None, Verdict("less than the floor of 3.0 GiB", kill=True))


@dataclass
class Kernel:
    """The kernel's files, as far as the watchdog reads them; processes are of this machine, as they are added."""

    folder: Path

    def __post_init__(self) -> None:
        (self.folder / "pressure").mkdir(parents=True)
        self.available(100)
        self.stalled(0)

    def available(self, gib: float) -> None:
        (self.folder / "meminfo").write_text(
            f"MemTotal:       {120 * GIB // 1024} kB\nMemFree: 1 kB\nMemAvailable:   {int(gib * GIB) // 1024} kB\n"
        )

    def stalled(self, microseconds: int) -> None:
        some = "some avg10=0.00 avg60=0.00 avg300=0.00 total=99999999\n"
        full = f"full avg10=0.00 avg60=0.00 avg300=0.00 total={microseconds}\n"
        (self.folder / "pressure" / "memory").write_text(some + full)

    def show(self, container: Container) -> None:
        """Let the processes of a container be seen."""
        for row in container.top()["Processes"]:
            (self.folder / row[1]).symlink_to(f"/proc/{row[1]}")


@dataclass
class Running:
    """A watchdog at work."""

    process: subprocess.Popen[str]
    trips_file: Path
    output: Path

    @property
    def trips(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (
            json.loads(self.trips_file.read_text())["trips"] if self.trips_file.exists() else []
        )
        return found

    @property
    def said(self) -> str:
        return self.output.read_text()

    def wait_for(self, seen: Callable[[], object], limit: float = 30) -> None:
        deadline = time.monotonic() + limit
        while not seen():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)


@contextmanager
def running(folder: Path, config: Config, *proc: str) -> Iterator[Running]:
    """The program as systemd starts it, and what it tells."""
    config = replace(config, trips=str(folder / "trips.json"))
    (folder / "guard.json").write_text(json.dumps(asdict(config)))
    argv = [sys.executable, "-IS", watchdog.__file__, str(folder / "guard.json"), *proc]
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(argv, stderr=output, text=True)
    try:
        yield Running(process, folder / "trips.json", folder / "output")
    finally:
        process.kill()
        process.wait()


@dataclass
class World:
    """Containers with labels of a cluster that is this test's own."""

    image: str
    cluster: str = field(default_factory=lambda: f"test-{secrets.token_hex(4)}")
    made: list[Container] = field(default_factory=list)

    def run(self, service: str, cluster: str = "", trap: bool = True) -> Container:
        """A container that ends at once when it is asked to, unless it sets no trap."""
        client = docker.from_env()
        words = "trap 'exit 0' TERM; " * trap + "while true; do sleep 1; done"
        labels = {watchdog.CLUSTER: cluster or self.cluster, watchdog.SERVICE: service}
        container = client.containers.run(
            self.image, ["sh", "-c", words], detach=True, network_mode="none", labels=labels
        )
        self.made.append(container)
        return container


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    with busybox_image(f"sparkctl-test-{secrets.token_hex(4)}") as name:
        yield name


@pytest.fixture
def world(image: str) -> Iterator[World]:
    world = World(image)
    yield world
    for container in world.made:
        container.remove(force=True)
        container.client.close()


def status(container: Container) -> tuple[str, int]:
    container.reload()
    return container.status, container.attrs["State"]["ExitCode"]


@ENGINE
def test_ours_are_stopped_in_order_and_others_left(world: World, tmp_path: Path) -> None:
    ray, api = world.run("ray-head"), world.run("vllm")
    others = [world.run("vllm", cluster=f"{world.cluster}-2"), world.run("gateway")]
    kernel = Kernel(tmp_path / "proc")
    order = ["vl", *CONFIG.order]  # an engine of a third party, whose name begins like another one
    config = replace(CONFIG, cluster=world.cluster, low_seconds=0.5, order=order)
    with running(tmp_path, config, str(kernel.folder)) as dog:
        dog.wait_for(lambda: "Docker says what runs" in dog.said)
        kernel.available(5)
        dog.wait_for(lambda: dog.trips)
        assert [status(one) for one in (ray, api)] == [("exited", 0), ("exited", 0)]
        assert [status(one)[0] for one in others] == ["running", "running"]
    (trip,) = dog.trips
    assert (trip["services"], trip["did"]) == (["vllm", "ray-head"], "stopped, within 60 s each")
    assert trip["saw"]["available"] == 5 * GIB
    assert api.attrs["State"]["FinishedAt"] < ray.attrs["State"]["FinishedAt"]
    assert dog.trips_file.stat().st_mode & 0o777 == 0o644
    assert "5.0 GiB of 120.0 GiB available, less than 6.0 GiB for 0.5 s: vllm, ray-head stopped" in dog.said


@ENGINE
def test_below_the_floor_processes_are_killed_without_docker(world: World, tmp_path: Path) -> None:
    """The list is all that is had of Docker: it is gone when memory is."""
    api, foreign = world.run("vllm", trap=False), world.run("vllm", cluster=f"{world.cluster}-2")
    kernel = Kernel(tmp_path / "proc")
    kernel.show(api)
    kernel.show(foreign)
    socket = tmp_path / "docker.sock"
    socket.symlink_to("/var/run/docker.sock")
    with running(tmp_path, replace(CONFIG, cluster=world.cluster, socket=str(socket)), str(kernel.folder)) as dog:
        dog.wait_for(lambda: "Docker says what runs" in dog.said)
        socket.unlink()
        kernel.available(2.5)
        dog.wait_for(lambda: dog.trips)
        dog.wait_for(lambda: status(api) == ("exited", 137))
        dog.wait_for(lambda: "vllm could not be stopped by Docker" in dog.said)
    assert status(foreign)[0] == "running"
    assert dog.trips[0]["did"].startswith("killed, ") and dog.trips[0]["did"] != "killed, 0 processes"
    assert dog.trips[0]["reason"] == "less than the floor of 3.0 GiB"


@ENGINE
def test_a_stop_that_takes_too_long_is_overtaken(world: World, tmp_path: Path) -> None:
    api = world.run("vllm", trap=False)
    kernel = Kernel(tmp_path / "proc")
    kernel.show(api)
    config = replace(CONFIG, cluster=world.cluster, low_seconds=0.2)
    asked = api.client.events(decode=True, filters={"container": str(api.id), "event": "kill"})
    with running(tmp_path, config, str(kernel.folder)) as dog:
        dog.wait_for(lambda: "Docker says what runs" in dog.said)
        kernel.available(5)
        assert next(asked)["Actor"]["ID"] == api.id
        assert status(api)[0] == "running"
        kernel.available(2)
        dog.wait_for(lambda: status(api) == ("exited", 137))
        dog.wait_for(lambda: len(dog.trips) == 2)
    asked.close()
    assert {trip["did"].partition(",")[0] for trip in dog.trips} == {"killed", "stopped"}


@ENGINE
def test_pressure_stops(world: World, tmp_path: Path) -> None:
    api = world.run("vllm")
    kernel = Kernel(tmp_path / "proc")
    kernel.available(10)
    config = replace(CONFIG, cluster=world.cluster, pressure_seconds=0.3)
    with running(tmp_path, config, str(kernel.folder)) as dog:
        dog.wait_for(lambda: "Docker says what runs" in dog.said)
        began = time.monotonic()

        def stopped() -> bool:
            kernel.stalled(int((time.monotonic() - began) * 1_000_000))
            return bool(dog.trips)

        dog.wait_for(stopped, 120)
    assert status(api)[0] == "exited"
    assert "every task waited for memory 20 % of the time" in dog.trips[0]["reason"]


@ENGINE
def test_what_runs_again_is_stopped_again(world: World, tmp_path: Path) -> None:
    api = world.run("vllm")
    dog = Watchdog(replace(CONFIG, cluster=world.cluster, trips=f"{tmp_path}/trips.json"), tmp_path)
    for _ in range(2):
        dog.refresh()
        dog.act(Look(5 * GIB, 120 * GIB, None, 1.0), Verdict("little", kill=False))
        assert eventually(lambda: status(api)[0] == "exited")
        dog.refresh()
        api.start()


def test_it_lives_without_docker_and_without_pressure_files(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path / "proc")
    (kernel.folder / "pressure" / "memory").unlink()
    with running(tmp_path, replace(CONFIG, socket=f"{tmp_path}/none"), str(kernel.folder)) as dog:
        dog.wait_for(lambda: "Docker does not say what runs" in dog.said)
        for text in ("", "MemTotal: x kB\n", "MemAvailable: 7 kB\n"):
            (kernel.folder / "meminfo").write_text(text)
            time.sleep(0.3)
        kernel.available(1)
        time.sleep(1)
        assert dog.process.poll() is None
        assert (dog.said.count("Docker does not say"), dog.trips) == (1, [])
