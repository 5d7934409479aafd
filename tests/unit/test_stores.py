"""The model stores against each other: what is left of one when the profile names the other."""

from dataclasses import replace

import pytest
from stack import config_of, stack_of

from sparkctl.core.plan import id_of, ordered
from sparkctl.core.step import Step
from sparkctl.stacks.serving import steps
from sparkctl.topology import Cluster, Node, Role

CLUSTER = Cluster(
    "lab",
    Node("spark-1", Role.HEAD, "10.0.0.1", "nvidia", fabric_ip="192.168.100.10"),
    tuple(Node(f"spark-{n}", Role.WORKER, f"10.0.0.{n}", "nvidia", fabric_ip=f"192.168.100.1{n}") for n in (2, 3)),
    "10.0.0.1",
)


def order(kind: str) -> list[str]:
    return [id_of(step) for step in ordered(stack_of(CLUSTER, {"store": {"kind": kind}}))]


@pytest.mark.parametrize("kind", ["nfs", "copy"])
def test_both_stores_are_looked_at_whichever_is_wished(kind: str) -> None:
    keys = order(kind)
    assert {"nfs-export@spark-1", "nfs-mount@spark-3", "nfs-readback@spark-3", "copy@spark-3"} <= set(keys)
    assert len(keys) == len(set(keys))


def test_mounts_come_after_the_export_they_show() -> None:
    keys = order("nfs")
    assert keys.index("nfs-export@spark-1") < keys.index("nfs-mount@spark-2") < keys.index("nfs-readback@spark-2")


def test_mounts_go_before_their_export_and_before_a_copy_takes_their_place() -> None:
    keys = order("copy")
    for worker in ("spark-2", "spark-3"):
        assert keys.index(f"nfs-mount@{worker}") < keys.index("nfs-export@spark-1")
        assert keys.index(f"nfs-mount@{worker}") < keys.index(f"copy@{worker}")


def test_without_a_model_to_serve_nothing_is_copied() -> None:
    config = config_of(CLUSTER, ENABLE_VLLM="0")
    store = config.profile.store.model_copy(update={"kind": "copy"})
    found: tuple[Step, ...] = steps(replace(config, profile=config.profile.model_copy(update={"store": store})))
    assert "copy@spark-2" not in {id_of(step) for step in found}
