"""What an agent that looks at images needs: a model that sees, by the config.json that the head finds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparkctl.core.action import Action
from sparkctl.core.step import Blocked, Finding, Layer, Ok
from sparkctl.facts.checkpoint import CheckpointFact
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.model_abilities import can_see
from sparkctl.steps.place import OnHead


@dataclass(frozen=True)
class SightStep(OnHead):
    """The model of one agent takes images; what its config.json does not tell is taken for a yes."""

    agent: str
    model: str
    probe: Probe[CheckpointFact]
    layer: Layer = Layer.MODEL

    @property
    def name(self) -> str:
        return f"sight-{self.agent}"

    @property
    def needs(self) -> tuple[str, ...]:
        return ()

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self.probe),)

    def check(self, facts: Facts) -> Finding:
        seen = can_see(_config(facts.get(self.node, self.probe)))
        if seen is False:
            fix = "give the agent a model that sees, such as Qwen/Qwen2.5-VL-7B-Instruct, or leave the agent out"
            return Blocked(f"the agent {self.agent} looks at images, and {self.model} reads text alone", fix)
        return Ok("it sees" if seen else "its config.json does not say whether it sees")

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()


def _config(fact: CheckpointFact) -> Mapping[str, Any]:
    try:
        found = json.loads(fact.config or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
