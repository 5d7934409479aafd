"""Pulling on several nodes at once: where an image comes from, who is asked for what, and what a failure means."""

import json
import threading
from concurrent.futures import Future
from typing import Any

import pytest
from cli_fakes import cluster_of
from test_image_actions import Registry

from sparkctl.core.action import Context, Progress
from sparkctl.errors import Interrupted
from sparkctl.facts.images import Source, source_of
from sparkctl.steps.image_actions import UNPACKS, Login, Pull
from sparkctl.steps.image_relay import PullTogether, _Relay
from sparkctl.transport.memory import Command, MemoryHost
from sparkctl.transport.session import Result

OURS, TEAM = "registry.example:5000", "10.1.2.3"
INFO = {
    "IndexServerAddress": "https://index.example/v1/",
    "RegistryConfig": {
        "IndexConfigs": {"hub.example": {"Official": True, "Secure": True}, OURS: {"Secure": False}},
        "InsecureRegistryCIDRs": ["127.0.0.0/8", "10.1.0.0/16"],
    },
}
DIGEST = f"sha256:{'a1' * 32}"


@pytest.mark.parametrize(
    ("reference", "base", "repository", "named"),
    [
        ("nvcr.example/nvidia/vllm:25.11", "https://nvcr.example", "nvidia/vllm", "25.11"),
        (f"nvcr.example/nvidia/vllm:25.11@{DIGEST}", "https://nvcr.example", "nvidia/vllm", DIGEST),
        (f"{OURS}/a/b:1", f"http://{OURS}", "a/b", "1"),
        (f"{TEAM}:5000/b", f"http://{TEAM}:5000", "b", "latest"),
        ("localhost:5000/b:1", "http://localhost:5000", "b", "1"),
        ("vllm/vllm-openai:v1", "https://index.example", "vllm/vllm-openai", "v1"),
        ("hub.example/vllm/vllm-openai:v1", "https://index.example", "vllm/vllm-openai", "v1"),
        ("busybox", "https://index.example", "library/busybox", "latest"),
        (f"hub.example/busybox@{DIGEST}", "https://index.example", "library/busybox", DIGEST),
    ],
)
def test_where_an_image_comes_from(reference: str, base: str, repository: str, named: str) -> None:
    assert source_of(reference, INFO) == Source(base, repository, named)


class Engine(Registry):
    """It knows its registries, and notes what it pulls itself."""

    def __init__(self) -> None:
        super().__init__()
        self.pulled: list[str] = []

    def info(self) -> dict[str, Any]:
        return INFO

    def pull(self, *words: Any, **options: Any) -> list[dict[str, Any]]:
        self.pulled.append(words[0])
        return super().pull(*words, **options)


class World:
    """A head and two workers; `relay` is what the relay says, `failing` whose engines do not get the image."""

    def __init__(self, *relay: dict[str, Any], failing: tuple[str, ...] = ()) -> None:
        self.cluster, self.told, self.engine = cluster_of(3), list[Progress](), Engine()
        self.hosts = {node.name: MemoryHost(node) for node in self.cluster.nodes}
        self.hosts["spark-1"].engine = self.engine  # type: ignore[assignment]
        said = "".join(f"{json.dumps(line)}\n" for line in relay)
        for name, host in self.hosts.items():
            ended = Result("", "the registry's answer was cut\n", 1) if name in failing else Result("{}\n", "", 0)
            answer = self._answer(Result(said, "HTTP Error 401\n", 0 if relay else 1), ended)
            host.reply(("python3", "-c"), answer)
        pull = Pull(self.cluster, "nvcr.example/nvidia/vllm:1", Login("me", "canary-password"))
        self.action = PullTogether(pull, self.cluster.workers)
        self.context = Context(self.hosts["spark-1"], self.hosts, self.told.append, threading.Event())

    @staticmethod
    def _answer(relay: Result, pull: Result) -> Any:
        return lambda command: relay if command.argv[2].startswith('"""A registry') else pull

    def asked(self, name: str) -> list[Command]:
        return [command for command in self.hosts[name].log if command.argv]

    def said(self) -> list[str]:
        return [progress.message for progress in self.told]


PORTS = {"spark-1": 4001, "spark-2": 4002, "spark-3": 4003}
READY = {"ports": PORTS}


def test_each_engine_pulls_from_its_own_port_and_the_head_from_the_registry_last() -> None:
    world = World(READY, {"done": 4, "total": 8}, {"done": 8, "total": 8})
    world.action.perform(world.context)
    jobs = {name: json.loads(world.asked(name)[-1].stdin) for name in PORTS}
    assert {name: job["port"] for name, job in jobs.items()} == PORTS
    (path,) = {job["path"] for job in jobs.values()}
    relay = json.loads(world.asked("spark-1")[0].stdin)
    assert (relay["path"], relay["base"], relay["repository"]) == (path, "https://nvcr.example", "nvidia/vllm")
    assert list(relay["ways"]) == ["spark-2", "spark-3"]
    assert (jobs["spark-2"]["name"], jobs["spark-2"]["tag"]) == ("nvcr.example/nvidia/vllm", "1")
    assert jobs["spark-3"]["record"] == f"{world.cluster.state_dir(world.cluster.node('spark-3'))}/images"
    assert world.told[:2] == [Progress(world.action.summary, 4, 8, "B"), Progress(UNPACKS, 8, 8, "B")]
    assert world.engine.pulled == ["nvcr.example/nvidia/vllm:1"]


def test_nothing_secret_stands_in_words_that_others_can_read() -> None:
    world = World(READY)
    world.action.perform(world.context)
    (relay, _) = world.asked("spark-1")
    path = json.loads(relay.stdin)["path"].rpartition("/")[2]
    words = " ".join(word for name in PORTS for command in world.asked(name) for word in command.argv)
    assert "canary-password" in relay.stdin.decode() and len(path) == 32
    assert "canary-password" not in words + world.action.detail and path not in words


def test_a_worker_that_fails_is_no_failure() -> None:
    world = World(READY, failing=("spark-3",))
    world.action.perform(world.context)
    assert "spark-3 does not pull from spark-1: the registry's answer was cut" in world.said()
    assert world.engine.pulled


def test_a_worker_that_takes_no_port_is_left_for_later() -> None:
    world = World({"ports": {"spark-1": 4001, "spark-2": 4002}})
    world.action.perform(world.context)
    assert "spark-3 does not pull from spark-1: its sshd takes no port" in world.said()
    assert not world.asked("spark-3")


def test_without_a_relay_the_head_pulls_alone() -> None:
    world = World()
    world.action.perform(world.context)
    assert "spark-1 pulls alone: HTTP Error 401" in world.said()
    assert not world.asked("spark-2") and world.engine.pulled


def test_where_the_head_fails_it_pulls_alone() -> None:
    world = World(READY, failing=("spark-1",))
    world.action.perform(world.context)
    assert "spark-1 pulls alone: the registry's answer was cut" in world.said()
    assert world.engine.pulled


def test_ports_that_a_relay_told_before_it_ended_count() -> None:
    world = World(READY)
    relay = _Relay(world.action, world.context, source_of("busybox", INFO))

    class Ending(Future[None]):
        """It tells its ports and ends between two looks at it."""

        def done(self) -> bool:
            relay._hear(json.dumps(READY))
            return True

    serving = Ending()
    serving.set_result(None)
    assert relay.ports(serving) == PORTS


def test_who_asks_to_stop_is_heard_at_the_next_line() -> None:
    world = World(READY, {"done": 4, "total": 8})
    world.context.stop.set()
    with pytest.raises(Interrupted):
        world.action.perform(world.context)
    assert not world.engine.pulled
