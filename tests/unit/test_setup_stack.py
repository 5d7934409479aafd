"""Which steps `sparkctl setup` is made of."""

from dataclasses import replace

from stack import config_of

from sparkctl.core.plan import id_of
from sparkctl.core.step import Step
from sparkctl.facts.kept import keeper_dir
from sparkctl.stacks import setup
from sparkctl.steps.links import LinksStep
from sparkctl.steps.netplan import NetplanStep
from sparkctl.steps.sudoers import BehindSudo
from sparkctl.topology import Cluster, Node, Role

HEAD = Node("spark-1", Role.HEAD, "10.0.0.1", "nvidia", fabric_ip="192.168.100.10", fabric_interface="enp1s0f1np1")
WORKER = Node("spark-2", Role.WORKER, "10.0.0.2", "nvidia", fabric_ip="192.168.100.11", fabric_interface="enp1s0f1np1")


def test_an_undo_takes_what_the_profile_asks_for_no_more() -> None:
    config = config_of(Cluster("lab", HEAD, (WORKER,), "10.0.0.1"))
    wish = config.profile.setup
    less = {"toolkit": False, "ssh_mesh": False, "netplan": wish.netplan.model_copy(update={"write": False})}
    every = {id_of(step) for step in setup.steps(config)}
    config = replace(config, profile=config.profile.model_copy(update={"setup": wish.model_copy(update=less)}))
    left_out = every - {id_of(step) for step in setup.steps(config)}
    assert {"toolkit@spark-1", "netplan@spark-2", "ssh-key@spark-1", "ssh-trust-spark-1@spark-2"} <= left_out
    assert {id_of(step) for step in setup.steps(config, undoing=True)} == every


def test_the_mtu_is_the_one_that_up_asks_for() -> None:
    config = config_of(Cluster("lab", HEAD, (WORKER,), "10.0.0.1"))
    asked = config.profile.fabric.model_copy(update={"mtu": 1500})
    for profile, mtu in ((config.profile, 9000), (config.profile.model_copy(update={"fabric": asked}), 1500)):
        inner = map(_inner, setup.steps(replace(config, profile=profile)))
        assert {step.wish.mtu for step in inner if isinstance(step, NetplanStep | LinksStep)} == {mtu}


def test_what_setup_keeps_is_not_in_the_folder_that_down_takes_away() -> None:
    config = config_of(Cluster("lab", HEAD, (WORKER,), "10.0.0.1"))
    kept = [getattr(_inner(step), name, "") for step in setup.steps(config) for name in ("record", "kept", "_record")]
    gone = (keeper_dir(config.cluster), config.cluster.state_dir(HEAD))
    assert len(set(filter(None, kept))) >= 5
    assert [path for path in kept if path.startswith(tuple(f"{folder}/" for folder in gone))] == []


def _inner(step: Step) -> Step:
    return step.step if isinstance(step, BehindSudo) else step
