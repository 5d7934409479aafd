"""The folder of the model cache on a node: made before a container's mount would make it, owned by root."""

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
    """Whether the folder is there and the login may write in it, and which folders sparkctl made on the way."""

    present: bool
    writable: bool
    made: tuple[str, ...]


@dataclass(frozen=True)
class CacheStep(OnNode):
    """The cache folder, writable for the node's login. `folder` is absolute."""

    folder: str
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
        if not fact.writable:
            return Blocked(
                f"{self.on.user} may not write in {self.folder} on {self.node}",
                f"on {self.node}: sudo chown -R {self.on.user} {self.folder}",
            )
        return Ok()

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        made = facts.get(self.node, self._probe).made
        if not made:
            return ()
        folders = " ".join(f"'{folder}'" for folder in reversed(made))
        text = f"rmdir --ignore-fail-on-non-empty {folders} 2>/dev/null; rm -f '{self._record}'\n{self._tidy}"
        return (Script("remove the cache folders that sparkctl made, where they are empty", text),)

    @property
    def _tidy(self) -> str:
        return tidy(self.cluster.state_dir(self.on))

    @property
    def _record(self) -> str:
        return state_path(self.cluster, self.on, "folders")

    @property
    def _make(self) -> Action:
        """Every folder that is made is remembered first, outermost first."""
        return Script(
            f"make folder {self.folder}",
            f"set -eu; at='{self.folder}/hub'; new=\n"
            'while [ ! -d "$at" ]; do new="$at\n$new"; at=$(dirname "$at"); done\n'
            f"printf '%s' \"$new\" >> '{self._record}'; mkdir -p '{self.folder}/hub'",
        )

    @property
    def _probe(self) -> Probe[CacheFact]:
        # A stale NFS mount would hang whoever looks at it; what is mounted there is for nfs-mount to judge.
        mounted = f"at='{self.folder}' awk '$5 == ENVIRON[\"at\"] && / - (fuse\\.)?nfs4? /' /proc/self/mountinfo"
        script = (
            f"cat '{self._record}' 2>/dev/null\n"
            f'[ -z "$({mounted})" ] || {{ echo present=; echo writable=; exit 0; }}\n'
            f"[ -d '{self.folder}' ] && echo present=\n[ -w '{self.folder}' ] && echo writable=\nexit 0"
        )
        return Probe(f"cache:{self.folder}", script, _fact)


def steps(cluster: Cluster, folders: dict[str, str]) -> tuple[CacheStep, ...]:
    """One for each node; `folders` by node name."""
    return tuple(CacheStep(cluster, node, folders[node.name]) for node in cluster.nodes)


def _fact(answer: Answer) -> CacheFact:
    lines = answer.stdout.split("\n")
    return CacheFact("present=" in lines, "writable=" in lines, tuple(line for line in lines if line.startswith("/")))
