"""A container that ends as soon as it is started, on this machine's engine: its log says why, not our bookkeeping."""

import secrets
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_steps import Do, FakeStep, World
from sshd import Sshd
from tiny_image import busybox_image

from sparkctl.core.action import Context
from sparkctl.core.plan import gather
from sparkctl.core.service import Service
from sparkctl.core.step import Absent, Drifted
from sparkctl.engines.failures import SGLANG
from sparkctl.errors import CommandFailed
from sparkctl.facts.probe import Facts
from sparkctl.runtimes.containers import container_name
from sparkctl.runtimes.docker import ContainerStep
from sparkctl.topology import Cluster, Node, Role

CLUSTER = Cluster(f"test-{secrets.token_hex(4)}", Node("spark-1", Role.HEAD, "127.0.0.1", "spark"))


@dataclass(frozen=True)
class Stubborn(FakeStep):
    """Is never as wished, and has a log."""

    def check(self, facts: Facts) -> Drifted:
        return Drifted(("it has ended",), (Do("try", lambda _: None),), evidence=(Do("read its log", fail),))


def fail(_: Context) -> None:
    raise CommandFailed("its log says this")


def test_evidence_is_what_a_run_ends_with() -> None:
    world = World()
    outcome = world.up(Stubborn(world, "one"))
    assert outcome.failed and outcome.failed.what == "its log says this"


@pytest.mark.skipif(not Path("/var/run/docker.sock").exists(), reason="no Docker engine here")
def test_what_it_said_is_told(sshd: Sshd) -> None:
    session = sshd.open()
    with busybox_image(f"sparkctl-{CLUSTER.name}") as image:
        script = "echo sglang: error: unrecognized arguments: --no-such-flag >&2; exit 2"
        step = ContainerStep(
            "vllm",
            CLUSTER,
            (Service("vllm", "spark-1", image, (), ("/bin/sh", "-c", script), network="none"),),
            failures=SGLANG,
        )
        context = Context(session, {"spark-1": session}, print)
        absent = step.check(gather(context.peers, step.wants))
        assert isinstance(absent, Absent)
        try:
            for action in absent.actions:
                action.perform(context)
            session.docker.containers.get(container_name(CLUSTER, "vllm")).wait()
            ended = step.check(gather(context.peers, step.wants))
            assert isinstance(ended, Drifted) and ended.differences == ("vllm@spark-1 is exited with status 2",)
            with pytest.raises(CommandFailed) as error:
                ended.evidence[0].perform(context)
            assert error.value.what == "vllm ended with status 2 as soon as it was started"
            assert error.value.output == "sglang: error: unrecognized arguments: --no-such-flag"
            assert "this SGLang does not know that flag" in error.value.fix
        finally:
            session.docker.containers.get(container_name(CLUSTER, "vllm")).remove(force=True)
    session.close()
