"""The Docker engine of a node: running, and open to our user."""

import shlex
from dataclasses import dataclass

from sparkctl.core.action import Action
from sparkctl.core.actions import Reconnect, Run, Script
from sparkctl.core.step import Blocked, Drifted, Finding, Layer, Ok, Pending, step_id
from sparkctl.facts.dockerd import DOCKERD
from sparkctl.facts.probe import Facts, Want
from sparkctl.facts.state import GROUP, state_path, state_probe
from sparkctl.steps.place import OnNode
from sparkctl.topology import Cluster


@dataclass(frozen=True)
class DockerStep(OnNode):
    """Starts an engine that is installed and stopped, and joins our user to the group docker.

    A new membership asks for a new connection, which would cut what works on the old one: all that might do so at
    the same time needs this step. `after` are the steps of the node that come first; where `packages` are among
    them, an engine that is missing is to come.
    """

    name: str = "docker"
    layer: Layer = Layer.HOST
    after: tuple[str, ...] = ("host", "state")

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(step_id(name, self.node) for name in self.after)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, DOCKERD), Want(self.node, state_probe(self.cluster, self.on)))

    def check(self, facts: Facts) -> Finding:
        engine = facts.get(self.node, DOCKERD)
        if not engine.client and "packages" in self.after:
            return Pending(step_id("packages", self.node))
        if not (engine.client and (engine.engine or engine.version)):
            mend = "let sparkctl install it: sparkctl setup"
            if engine.client:  # and so none that setup would see to
                mend = f"the command docker alone is there; on {self.node}: sudo apt-get install docker.io"
            return Blocked(
                f"no Docker engine is installed on {self.node}",
                f"{mend}; or see https://docs.docker.com/engine/install/",
            )
        differences, actions = [], list[Action]()
        if not engine.version:
            differences.append("the engine does not answer")
            actions.append(Run("start the Docker engine", ("systemctl", "start", "docker"), sudo=True))
        if not engine.in_group:
            differences.append(f"{self.on.user} is not in the group docker")
            actions.append(self._join())
        elif not engine.in_session:
            differences.append("this connection was opened before the group counted")
        if not (engine.in_group and engine.in_session):
            actions.append(Reconnect())
        return Drifted(tuple(differences), tuple(actions)) if actions else Ok(f"engine {engine.version}")

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        if GROUP not in facts.get(self.node, state_probe(self.cluster, self.on)).entries:
            return ()
        user = shlex.quote(self.on.user)
        member = f"getent group docker | cut -d: -f4 | tr , '\\n' | grep -qxF -- {user}"  # an admin may have been here
        leave = f"if {member}; then sudo -n gpasswd -d {user} docker; fi\nrm -f {shlex.quote(self._record)}"
        return (Script(f"take {self.on.user} out of the group docker", f"set -e\n{leave}"),)

    def _join(self) -> Script:
        join = f"sudo -n usermod -aG docker {shlex.quote(self.on.user)}"
        return Script(f"add {self.on.user} to the group docker", f"set -e\ntouch {shlex.quote(self._record)}\n{join}")

    @property
    def _record(self) -> str:
        return state_path(self.cluster, self.on, GROUP)


def steps(cluster: Cluster, after: tuple[str, ...] = ("host", "state")) -> tuple[DockerStep, ...]:
    """One for every node, each after those steps of its node."""
    return tuple(DockerStep(cluster, node, after=after) for node in cluster.nodes)
