"""What a run takes: counted at each answer of a model, refused before the one that is too many."""

from typing import Any

from agents import Agent, ModelResponse, RunHooks, TResponseInputItem
from agents import Usage as Counted

from sparkctl.agents.core.events import Usage
from sparkctl.agents.core.failure import OutOfLimits
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


class Meter(RunHooks[Run]):
    """The same, within openai-agents' loop."""

    async def on_llm_start(
        self, context: Context, agent: Agent[Run], system_prompt: str | None, input_items: list[TResponseInputItem]
    ) -> None:
        """Raises OutOfLimits."""
        admit(context.context)

    async def on_llm_end(self, context: Context, agent: Agent[Any], response: ModelResponse) -> None:
        """Count."""
        book(context.context, response.usage)
