"""The folder of the model cache on a node: made before a container's mount would make it, owned by root."""

import shlex
from dataclasses import dataclass

from sparkctl.core.action import Action
from sparkctl.core.actions import Script
from sparkctl.core.step import Absent, Blocked, Finding, Layer, Ok, step_id
from sparkctl.facts.probe import Answer, Facts, Probe, Want
from sparkctl.facts.state import state_path
from sparkctl.steps.host_state import tidy
from sparkctl.steps.place import OnNode
from sparkctl.topology import Cluster


@dataclass(frozen=True)
class CacheFact:
    """Whether the folder is there, the first of `CacheStep.places` that the login may not write in (empty where it may
    in all that are there), and which folders sparkctl made on the way."""

    present: bool
    closed: str
    made: tuple[str, ...]


@dataclass(frozen=True)
class CacheStep(OnNode):
    """The cache folder, writable for the node's login, and in it what `models`, names of models' folders, have.

    `folder` is absolute.
    """

    folder: str
    models: tuple[str, ...] = ()
    name: str = "cache"
    layer: Layer = Layer.MODEL

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("state", self.node), step_id("docker", self.node))

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self._probe),)

    def check(self, facts: Facts) -> Finding:
        fact = facts.get(self.node, self._probe)
        if not fact.present:
            return Absent((self._make,))
        if fact.closed:
            return Blocked(
                f"{self.on.user} may not write in {fact.closed} on {self.node}",
                f"on {self.node}: sudo chown -R {self.on.user} {shlex.quote(fact.closed)}",
            )
        return Ok()

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        made = facts.get(self.node, self._probe).made
        if not made:
            return ()
        folders = shlex.join(reversed(made))
        text = f"rmdir --ignore-fail-on-non-empty {folders} 2>/dev/null; rm -f {self._record}\n{self._tidy}"
        return (Script("remove the cache folders that sparkctl made, where they are empty", text),)

    @property
    def places(self) -> tuple[str, ...]:
        """Where downloads and copies write, outermost first; a container that ran as root may have made any."""
        hub = f"{self.folder}/hub"
        parts = ("", "/blobs", "/refs", "/snapshots")
        return (self.folder, hub, *(f"{hub}/{model}{part}" for model in self.models for part in parts))

    @property
    def _tidy(self) -> str:
        return tidy(self.cluster.state_dir(self.on))

    @property
    def _record(self) -> str:
        """Quoted for the shell."""
        return shlex.quote(state_path(self.cluster, self.on, "folders"))

    @property
    def _make(self) -> Action:
        """Every folder that is made is remembered first, outermost first."""
        hub = shlex.quote(f"{self.folder}/hub")
        return Script(
            f"make folder {self.folder}",
            f"set -eu; at={hub}; new=\n"
            'while [ ! -d "$at" ]; do new="$at\n$new"; at=$(dirname "$at"); done\n'
            f"printf '%s' \"$new\" >> {self._record}; mkdir -p {hub}",
        )

    @property
    def _probe(self) -> Probe[CacheFact]:
        # A stale NFS mount would hang whoever looks at it; what is mounted there is for nfs-mount to judge.
        folder = shlex.quote(self.folder)
        mounted = f"at={folder} awk '$5 == ENVIRON[\"at\"] && / - (autofs|(fuse\\.)?nfs4?) /' /proc/self/mountinfo"
        script = (
            f"cat {self._record} 2>/dev/null\n"
            f'[ -z "$({mounted})" ] || {{ echo present=; exit 0; }}\n'
            f"[ -d {folder} ] && echo present=\n"
            f"for at in {shlex.join(self.places)}; do\n"
            '[ ! -d "$at" ] || [ -w "$at" ] || { echo "closed=$at"; break; }\ndone\nexit 0'
        )
        return Probe(f"cache:{self.folder}", script, _fact)


def steps(cluster: Cluster, folders: dict[str, str], models: tuple[str, ...] = ()) -> tuple[CacheStep, ...]:
    """One for each node; `folders` by node name, `models` names of models' folders in all of them."""
    return tuple(CacheStep(cluster, node, folders[node.name], models) for node in cluster.nodes)


def _fact(answer: Answer) -> CacheFact:
    lines = answer.stdout.split("\n")
    closed = next((line.removeprefix("closed=") for line in lines if line.startswith("closed=")), "")
    return CacheFact("present=" in lines, closed, tuple(line for line in lines if line.startswith("/")))
