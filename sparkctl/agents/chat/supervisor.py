"""The supervisor: chooses who answers, by a tool call that its model must make."""

from sparkctl.agents.chat.plain import PLAIN
from sparkctl.agents.core.kind import Kind, Need

SUPERVISOR = Kind(
    description="Chooses the agent that answers, and answers itself where none fits.",
    instructions=(
        "You choose who answers the user's last message: call exactly one of your tools, and write nothing.\n"
        "Hand off to the one agent whose description fits. Answer directly only where no description fits: greetings, "
        "small talk, questions of general knowledge. Split only a message that asks for several things that belong "
        "to different agents."
    ),
    answers=PLAIN.instructions,
    capabilities=("routing", *PLAIN.capabilities),
    needs=frozenset({Need.TOOLS}),
    routes=True,
)
