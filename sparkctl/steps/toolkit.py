"""Docker's runtime for GPUs: what `nvidia-ctk` writes into its configuration, and the way back."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from sparkctl.core.action import Action
from sparkctl.core.actions import Script
from sparkctl.core.service import LABEL_CLUSTER
from sparkctl.core.step import Blocked, Drifted, Finding, Layer, Ok, Pending, step_id
from sparkctl.facts.docker import CONTAINERS
from sparkctl.facts.dockerd import DOCKERD
from sparkctl.facts.probe import Facts, Want
from sparkctl.facts.state import state_path, state_probe
from sparkctl.steps.place import OnNode
from sparkctl.topology import Cluster

FILE = "/etc/docker/daemon.json"
FORMER, OURS = "daemon.json", "daemon.json.ours"
"""Records in the state folder: the file as it was, empty where there was none; the hash of what it became.

A former file without that hash is of a change that was cut short: it is taken back, too.
"""

_RESTART = """\
set -e
restart() {{ systemctl reset-failed docker.socket docker.service 2>/dev/null || true; systemctl restart docker; }}
"""
"""Docker's unit refuses to be started often within a minute, unless systemd forgets the other times."""
_CONFIGURE = """\
if [ -e {former} ]; then :; elif [ -e {file} ]; then cp -p {file} {former}; else install -m 644 /dev/null {former}; fi
restore() {{ if [ -s {former} ]; then cp -p {former} {file}; else rm -f {file}; fi; rm -f {former} {ours}; }}
if ! nvidia-ctk runtime configure --runtime=docker; then restore; exit 1; fi
sha256sum <{file} >{ours}
if ! restart; then restore; restart; exit 1; fi
"""
_RESTORE = """\
if [ ! -e {ours} ] || [ "$(sha256sum <{file})" = "$(cat {ours})" ]; then
  if [ -s {former} ]; then cp -p {former} {file}; else rm -f {file}; fi
  restart
else echo "kept {file}: it was changed since"; fi
rm -f {former} {ours}
"""


@dataclass(frozen=True)
class ToolkitStep(OnNode):
    """Docker knows the runtime nvidia. It is restarted for that, unless containers of sparkctl run."""

    name: str = "toolkit"
    layer: Layer = Layer.HOST

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("packages", self.node), step_id("docker", self.node))

    @property
    def wants(self) -> tuple[Want, ...]:
        return tuple(Want(self.node, probe) for probe in (DOCKERD, CONTAINERS, state_probe(self.cluster, self.on)))

    def check(self, facts: Facts) -> Finding:
        engine = facts.get(self.node, DOCKERD)
        if "nvidia" in engine.runtimes:
            return Ok("Docker knows the runtime nvidia")
        if not (engine.version and engine.toolkit):
            return Pending(step_id("docker" if engine.toolkit else "packages", self.node))
        running = {name: c for name, c in (facts.get(self.node, CONTAINERS) or {}).items() if c.running}
        if ours := sorted(name for name, c in running.items() if LABEL_CLUSTER in c.labels):
            return Blocked(
                f"Docker on {self.node} must be restarted, and {', '.join(ours)} run{'s' * (len(ours) == 1)} there",
                "stop what serves first: sparkctl stop; then run again: sparkctl setup",
            )
        configure = Script(f"let nvidia-ctk write {FILE}, and restart Docker", self._text(_CONFIGURE), sudo=True)
        return Drifted(("Docker does not know the runtime nvidia",), (configure,), disrupts=bool(running))

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        if FORMER not in facts.get(self.node, state_probe(self.cluster, self.on)).entries:
            return ()
        return (Script(f"put {FILE} back as it was, and restart Docker", self._text(_RESTORE), sudo=True),)

    def _text(self, script: str) -> str:
        former, ours = (shlex.quote(state_path(self.cluster, self.on, name)) for name in (FORMER, OURS))
        return (_RESTART + script).format(file=FILE, former=former, ours=ours)


def steps(cluster: Cluster) -> Iterable[ToolkitStep]:
    """One for every node."""
    return tuple(ToolkitStep(cluster, node) for node in cluster.nodes)
