"""What keeps the nodes from running out of memory: the watchdog, and what `setup` adds to it."""

from typing import TYPE_CHECKING

from sparkctl.core.step import Step
from sparkctl.data import node_program
from sparkctl.engines.registry import ENGINES
from sparkctl.steps import guard, guard_earlyoom, guard_swap
from sparkctl.steps.guard import GuardWish
from sparkctl.topology import Cluster

if TYPE_CHECKING:
    from sparkctl.config.load import Config


def steps(config: "Config", own: Cluster) -> tuple[Step, ...]:
    """Everything that `setup` does about memory, on every node: watchdog, earlyoom, swap.

    The watchdog is of the deployment's cluster. What was there before earlyoom and swap were set is on record in the
    name of `own`, the cluster of setup: `down` takes away all that is kept in the deployment's.
    """
    wish, host = config.profile.guard, config.profile.host
    second = guard_earlyoom.steps(own, wish.earlyoom_percent * wish.earlyoom, allowed=host.install_packages)
    return (*watchdog_steps(config), *second, *guard_swap.steps(own, wish.swap == "off", host.reserve_gib))


def watchdog_steps(config: "Config") -> tuple[Step, ...]:
    """The watchdog of every node, which `up` brings, too; where none is wanted or nothing runs, what takes it away."""
    wanted = config.profile.guard.watchdog and config.profile.components
    return guard.steps(config.cluster, _wish(config) if wanted else None, node_program("watchdog"))


def _wish(config: "Config") -> GuardWish:
    """Services are called as their engine is, Ray's own begin with `ray-` and go last: the API waits for them."""
    wish, engines = config.profile.guard, dict.fromkeys((*ENGINES, *(served.engine.name for served in config.served)))
    return GuardWish(
        floor_gib=wish.floor_gib,
        low_gib=wish.low_gib,
        low_s=wish.low_s,
        pressure=wish.pressure_percent,
        pressure_s=wish.pressure_s,
        stop_s=wish.stop_s,
        order=(*engines, "ray-"),
    )
