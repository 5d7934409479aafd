"""What a run takes: counted at each answer of a model, refused before the one that is too many.

The usage comes with the end of an answer. Of one that its client, its user or its time breaks off before, it is
guessed.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agents import Agent, ModelResponse, RunHooks, StreamEvent, TResponseInputItem
from agents import Usage as Counted

from sparkctl.agents.core.events import Usage
from sparkctl.agents.core.failure import OutOfLimits
from sparkctl.agents.core.history import CHARS_PER_TOKEN
from sparkctl.agents.core.run import Context, Run


def admit(run: Run) -> None:
    """Before a model is asked. Raises OutOfLimits where the run's turns or tokens are used up."""
    limits = run.platform.document.agents.limits
    if run.turns >= limits.turns:
        raise OutOfLimits(f"the run took more than {limits.turns} answers of models")
    if run.usage.total_tokens >= limits.tokens:
        raise OutOfLimits(f"the run took all of its {limits.tokens} tokens")
    run.turns += 1


def book(run: Run, counted: Counted) -> None:
    """After a model has answered."""
    run.took(Usage(counted.input_tokens, counted.output_tokens))


@contextmanager
def asking(run: Run, prompt: str) -> Iterator[None]:
    """A call that is not streamed: where it is broken off, what the model was given to read is booked.

    Raises OutOfLimits before the call.
    """
    admit(run)
    try:
        yield
    except asyncio.CancelledError:
        run.took(Usage(len(prompt) // CHARS_PER_TOKEN))
        raise


class Meter(RunHooks[Run]):
    """The same, within openai-agents' loop, of whose events it hears."""

    def __init__(self) -> None:
        self._under_way = Usage()

    async def on_llm_start(
        self, context: Context, agent: Agent[Run], system_prompt: str | None, input_items: list[TResponseInputItem]
    ) -> None:
        """Raises OutOfLimits."""
        admit(context.context)
        prompt = (system_prompt or "") + json.dumps(input_items, ensure_ascii=False, default=str)
        self._under_way = Usage(len(prompt) // CHARS_PER_TOKEN)

    async def on_llm_end(self, context: Context, agent: Agent[Any], response: ModelResponse) -> None:
        """Count."""
        self._under_way = Usage()
        book(context.context, response.usage)

    def heard(self, event: StreamEvent) -> None:
        """Engines send a token, or a few, in each piece of an answer, of its text, its thoughts or its calls."""
        if self._under_way.prompt_tokens and event.type == "raw_response_event" and event.data.type.endswith(".delta"):
            self._under_way += Usage(0, 1)

    def broken_off(self, run: Run) -> None:
        """The call that is under way, if one is, comes to no end."""
        run.took(self._under_way)
