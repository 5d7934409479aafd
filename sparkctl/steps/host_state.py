"""Our own folder on a node: the first thing that `up` makes, the last that `down` takes away."""

import shlex
from dataclasses import dataclass

from sparkctl.core.action import Action
from sparkctl.core.actions import Run, Script, WriteFile
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Layer, Ok, step_id
from sparkctl.facts.probe import Facts, Want
from sparkctl.facts.state import README, StateFact, state_path, state_probe
from sparkctl.rendering import render
from sparkctl.steps.place import OnNode
from sparkctl.topology import Cluster


@dataclass(frozen=True)
class StateStep(OnNode):
    """`~/.sparkctl/<cluster>`, for our user alone; `verb` is the command that takes it away."""

    verb: str = "down"
    name: str = "state"
    layer: Layer = Layer.HOST

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("host", self.node),)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, state_probe(self.cluster, self.on)),)

    def check(self, facts: Facts) -> Finding:
        folder, fact = self.cluster.state_dir(self.on), self._fact(facts)
        if fact.mode and not fact.owned:
            return Blocked(
                f"{folder} on {self.node} belongs to another user",
                f"look at it, then: sudo chown -R {self.on.user} {folder}",
            )
        make = Run(
            f"make folder {folder} (mode 0700)", ("install", "-d", "-m", "700", folder.rpartition("/")[0], folder)
        )
        readme = WriteFile(state_path(self.cluster, self.on, README), self._readme, mode=0o600)
        if not fact.mode:
            return Absent((make, readme))
        differences, actions = [], list[Action]()
        if fact.mode != "700":
            differences.append(f"{folder} has mode {fact.mode}, not 700")
            actions.append(Run(f"set mode 0700 on {folder}", ("chmod", "700", folder)))
        if fact.readme != self._readme:
            differences.append(f"{readme.path} is {'missing' if not fact.readme else 'changed'}")
            actions.append(readme)
        return Drifted(tuple(differences), tuple(actions)) if actions else Ok()

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        """Records of what stays (packages, images, models) stay with it; the step that removes them tidies up."""
        fact = self._fact(facts)
        if not fact.owned or (README not in fact.entries and fact.entries):
            return ()
        folder = self.cluster.state_dir(self.on)
        text = f"rm -f {shlex.quote(state_path(self.cluster, self.on, README))}\n{tidy(folder)}"
        return (Script(f"remove {folder}, unless it records what stays", text),)

    @property
    def _readme(self) -> str:
        return render("state-readme.j2", cluster=self.cluster.name, verb=self.verb)

    def _fact(self, facts: Facts) -> StateFact:
        return facts.get(self.node, state_probe(self.cluster, self.on))


def steps(cluster: Cluster, verb: str = "down") -> tuple[StateStep, ...]:
    """One for every node."""
    return tuple(StateStep(cluster, node, verb) for node in cluster.nodes)


def tidy(folder: str) -> str:
    """A line of bash that removes a state folder, and `~/.sparkctl` above it, as far as they are empty."""
    quoted, above = shlex.quote(folder), shlex.quote(folder.rpartition("/")[0])
    return f"{{ rmdir {quoted} && rmdir {above}; }} 2>/dev/null || true\n"
