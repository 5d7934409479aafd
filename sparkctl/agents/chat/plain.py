"""An agent that answers, and has no tools."""

from sparkctl.agents.core.kind import Kind

PLAIN = Kind(
    description="Answers from what the model knows.",
    instructions="You are a helpful assistant. Answer plainly and briefly. Say so where you do not know.",
    capabilities=("chat",),
)
