"""When a tool asks a human first: after text from outside has come into the run, whatever that text says."""

from typing import Any

from sparkctl.agents.core.run import Context


async def after_untrusted(context: Context, _arguments: dict[str, Any], _call_id: str) -> bool:
    """For `function_tool(needs_approval=...)` of every tool that writes or executes."""
    return context.context.untrusted
