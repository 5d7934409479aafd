"""Kinds of agents for the tests, as a user would write his own: a librarian, and a writer who asks before writing."""

from agents import function_tool

from sparkctl.agents.core.approval import after_untrusted
from sparkctl.agents.core.events import Citation
from sparkctl.agents.core.kind import Kind
from sparkctl.agents.core.run import Context


@function_tool
async def look_up(context: Context, word: str) -> str:
    """Look a word up; what comes back is from outside."""
    context.context.untrusted = True
    found = context.context.citations
    found.append(Citation("dictionary", len(found), "a dictionary", len(found) + 1))
    return f"{word} is a word"


@function_tool(needs_approval=after_untrusted)
async def write(context: Context, text: str) -> str:
    """Write something down."""
    return f"wrote {text}"


LIBRARIAN = Kind("Finds things in books.", "You are a librarian.", words=("book", "look up"), tools=lambda: (look_up,))
WRITER = Kind(
    "Writes things down.",
    "You are a writer.",
    capabilities=("citations",),
    words=("write",),
    tools=lambda: (look_up, write),
)
TEAM = {
    "supervisor": {"kind": "supervisor"},
    "librarian": {"kind": "own_kinds:LIBRARIAN"},
    "writer": {"kind": "own_kinds:WRITER"},
}
"""As `agents.team`."""
