"""What a tool asks of its agent's model by itself: one call of the chat API, outside of the conversation."""

from collections.abc import Sequence
from typing import Any, TypeAlias, cast

from agents.tool_context import ToolContext
from openai.types.chat import ChatCompletionMessageParam

from sparkctl.agents.core.endpoints import Served
from sparkctl.agents.core.events import Usage
from sparkctl.agents.core.history import text_of
from sparkctl.agents.core.meter import asking
from sparkctl.agents.core.run import Run

Called: TypeAlias = ToolContext[Run]
"""The first parameter of a tool that wants to know which agent calls it."""


def served_of(context: Called) -> Served:
    """The model of the agent that calls."""
    run = context.context
    name = context.agent.name if context.agent else run.route[-1]
    return run.platform.endpoints.find(run.platform.team.member(name).spec.model)


async def complete(run: Run, served: Served, messages: Sequence[ChatCompletionMessageParam]) -> str:
    """The model's answer, counted against the run; empty where it said nothing.

    Raises OutOfLimits, and what a client of OpenAI raises.
    """
    with asking(run, " ".join(text_of(cast(Any, one["content"])) for one in messages)):
        answer = await served.client.chat.completions.create(
            model=served.endpoint.id,
            messages=list(messages),
            max_tokens=run.platform.document.agents.limits.answer_tokens,
            temperature=0,
        )
    if answer.usage:
        run.took(Usage(answer.usage.prompt_tokens, answer.usage.completion_tokens))
    return (answer.choices[0].message.content or "").strip() if answer.choices else ""
