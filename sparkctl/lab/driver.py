"""What makes the machines of a lab: containers, or QEMU. Everything around them is the same for both."""

import importlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, cast

from sparkctl.lab.progress import Report
from sparkctl.lab.spec import Lab, LabNode

DRIVERS = {"container": "sparkctl.lab.container", "vm": "sparkctl.lab.vm"}
"""Modules with a function `make() -> Driver`, imported when used."""


class NodeState(StrEnum):
    """What a machine is doing."""

    READY = "ready"
    BOOTING = "booting"
    STOPPED = "stopped"
    ABSENT = "absent"


@dataclass(frozen=True)
class NodeStatus:
    """One machine as it is now. READY means that SSH answers and so does its Docker engine."""

    node: LabNode
    state: NodeState
    detail: str = ""


class Driver(Protocol):
    """Makes, looks at and removes the machines of a lab; networks, keys and depot are there before `up`.

    Every method may be called again after an earlier call was cut short, and finishes or removes what that left.
    """

    def prepare(self, report: Report) -> None:
        """Make what every machine is made of (an image, a disk), unless the cache has it.

        Runs beside other work, before the networks exist. Raises SparkctlError.
        """
        ...

    def up(self, lab: Lab, report: Report) -> None:
        """Make missing machines, start stopped ones; returns when each answers SSH and `docker info`.

        A machine gets `lab.host_keys / node.name` as its ed25519 host key, `lab.key_file`.pub as authorised key of
        `USER`, its two addresses on the lab's bridges, and `lab.names` in its /etc/hosts. Raises SparkctlError.
        """
        ...

    def status(self, lab: Lab) -> tuple[NodeStatus, ...]:
        """Every machine of the lab, in rank order."""
        ...

    def down(self, lab: Lab) -> None:
        """Remove every machine of this lab, with its disks."""
        ...

    def drop_images(self) -> None:
        """Remove what `prepare` made, as far as no other lab uses it."""
        ...


def load(name: str) -> Driver:
    """The driver of that name. Raises KeyError."""
    return cast(Driver, importlib.import_module(DRIVERS[name]).make())
