"""Plans and runs as plain data for --json; every shape is described in docs/json.md."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sparkctl.core.action import Action
from sparkctl.core.events import StepEnded
from sparkctl.core.plan import Item, Plan, UndoItem
from sparkctl.report.plan_view import count

INTERNAL = ("actions", "symptom", "evidence")
"""Members of a finding that are not told as they are: the executor's own, and actions, which are no data."""


def plan_data(plan: Plan) -> dict[str, Any]:
    """Every item with its finding, and how many of each kind there are."""
    return {"summary": asdict(count(plan)), "items": [item_data(item) for item in plan.items]}


def item_data(item: Item) -> dict[str, Any]:
    """One step: `finding` is ok, absent, drifted, pending or blocked; the other members belong to the finding."""
    finding = {key: value for key, value in vars(item.finding).items() if key not in INTERNAL}
    return {
        **_step(item),
        "finding": type(item.finding).__name__.lower(),
        **finding,
        "actions": [action_data(action) for action in item.actions],
    }


def undo_data(items: Sequence[UndoItem]) -> list[dict[str, Any]]:
    """What would be taken away, in order."""
    return [{**_step(item), "actions": [action_data(action) for action in item.actions]} for item in items]


def action_data(action: Action) -> dict[str, str]:
    """One change: a line, and what it does exactly."""
    return {"summary": action.summary, "detail": action.detail}


def run_data(ended: Sequence[StepEnded], skipped: Sequence[str], outcome: str, seconds: float) -> dict[str, Any]:
    """What a run did. `outcome` is done, failed or interrupted; durations are in seconds."""
    steps = [{**asdict(end), "seconds": round(end.seconds, 3)} for end in ended]
    return {"outcome": outcome, "seconds": round(seconds, 3), "steps": steps, "skipped": list(skipped)}


def _step(item: Item | UndoItem) -> dict[str, Any]:
    return {"id": item.id, "step": item.step.name, "node": item.step.node, "layer": str(item.step.layer)}
