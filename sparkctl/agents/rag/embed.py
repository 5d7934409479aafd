"""Vectors of texts, from a model that the profile serves, by OpenAI's `/v1/embeddings`."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from openai import APIStatusError, AsyncOpenAI, OpenAIError

from sparkctl.agents.core.endpoints import Served
from sparkctl.agents.core.failure import EngineFailed

BATCH = 64
"""Texts of one request."""
PAUSES = (1.0, 3.0)
"""Seconds before each further try of a batch of a document."""
QUESTION_SECONDS = 10.0
"""How long a search waits for its vector; after that it goes by words alone."""


@dataclass(frozen=True)
class Vectors:
    """One for each text, and what made them: the model's id and the length of its vectors, as `minilm/384`.

    `tokens` were read for them.
    """

    rows: list[list[float]]
    tag: str
    tokens: int


@dataclass(frozen=True)
class Embedder:
    """A served model that embeds. Raises EngineFailed where it does not, or answers what are no vectors."""

    served: Served
    pauses: tuple[float, ...] = PAUSES

    async def question(self, text: str) -> Vectors:
        """The vector of one text, by one try."""
        return await self._batch(self.served.client.with_options(timeout=QUESTION_SECONDS), [text])

    async def texts(self, texts: Sequence[str]) -> Vectors:
        """The vectors of a document's chunks, in batches, each tried again after `pauses`."""
        rows: list[list[float]] = []
        tags: set[str] = set()
        tokens = 0
        for first in range(0, len(texts), BATCH):
            made = await self._patiently(list(texts[first : first + BATCH]))
            rows += made.rows
            tags.add(made.tag)
            tokens += made.tokens
        if len(tags) > 1:
            raise EngineFailed(f"the embeddings model changed while it was used: {', '.join(sorted(tags))}")
        return Vectors(rows, tags.pop() if tags else "", tokens)

    async def _patiently(self, texts: list[str]) -> Vectors:
        for pause in self.pauses:
            try:
                return await self._batch(self.served.client, texts)
            except EngineFailed as error:
                cause = error.__cause__
                if isinstance(cause, APIStatusError) and cause.status_code < 500 and cause.status_code != 429:
                    raise  # it would be refused again
                await asyncio.sleep(pause)
        return await self._batch(self.served.client, texts)

    async def _batch(self, client: AsyncOpenAI, texts: list[str]) -> Vectors:
        model = self.served.endpoint.id
        try:
            answer = await client.embeddings.create(model=model, input=texts, encoding_format="float")
        except OpenAIError as error:
            raise EngineFailed(f"the embeddings model does not answer: {type(error).__name__}") from error
        rows = [one.embedding for one in sorted(answer.data, key=lambda one: one.index)]
        lengths = {len(row) for row in rows}
        if len(rows) != len(texts) or len(lengths) != 1 or not all(math.isfinite(x) for row in rows for x in row):
            raise EngineFailed(f"the embeddings model gave {len(rows)} vectors for {len(texts)} texts, not all alike")
        tokens = (answer.usage and answer.usage.prompt_tokens) or 0  # some engines tell none
        return Vectors(rows, f"{model}/{lengths.pop()}", tokens)
