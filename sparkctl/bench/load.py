"""Requests to a served model: our own client, for engines whose image has no bench tool.

It measures what `vllm bench serve` measures, by the same definitions: streamed completions of random text, so many at
a time, each for a fixed number of tokens. It asks through SSH, from the laptop: what the way adds is in its times.
"""

import asyncio
import math
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING

from sparkctl.bench.results import Level, Load, Spread
from sparkctl.errors import UnhealthyError

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAIError

TOOL = "sparkctl"
REQUEST_SECONDS = 600.0
REASON_LENGTH = 200
WORDS = ("stone", "river", "open", "light", "paper", "glass", "green", "round", "table", "music", "water", "early")
"""One round of them, in any order, is always as many tokens: texts differ, and their length does not."""


@dataclass(frozen=True)
class Request:
    """One request as its client saw it, times in seconds: to the first piece, between pieces, to the last."""

    first: float
    gaps: tuple[float, ...]
    whole: float
    input_tokens: int
    output_tokens: int


def measure(url: str, key: str, model: str, load: Load, concurrency: int) -> Level:
    """Ask so many at a time, `load.rounds` times over. Raises UnhealthyError where no request is answered."""
    from openai import OpenAIError

    requests, fix = concurrency * load.rounds, "see why: sparkctl logs"
    try:
        done, seconds = asyncio.run(_ask_all(url, key, model, load, concurrency, requests))
    except OpenAIError as error:
        raise UnhealthyError(f"{model} does not answer: {_said(error)}", fix=fix) from error
    answered = [one for one in done if isinstance(one, Request)]
    if not answered:
        reasons = "; ".join(sorted({str(one) for one in done}))
        raise UnhealthyError(f"{model} answers none of {requests} requests: {reasons}", fix=fix)
    return level(concurrency, answered, requests - len(answered), seconds)


def level(concurrency: int, answered: Sequence[Request], failed: int, seconds: float) -> Level:
    """The figures of one concurrency. Pure. A request of a single token has no time per token after it."""
    return Level(
        concurrency=concurrency,
        requests=len(answered) + failed,
        failed=failed,
        seconds=seconds,
        input_tokens=sum(one.input_tokens for one in answered),
        output_tokens=sum(one.output_tokens for one in answered),
        ttft=spread([one.first for one in answered]),
        tpot=spread([(one.whole - one.first) / (one.output_tokens - 1) for one in answered if one.output_tokens > 1]),
        itl=spread([gap for one in answered for gap in one.gaps]),
        e2e=spread([one.whole for one in answered]),
    )


def spread(seconds: Sequence[float]) -> Spread:
    """Mean, median, 90th and 99th percentile in milliseconds; zeros of nothing."""
    if not seconds:
        return Spread(0.0, 0.0, 0.0, 0.0)
    ordered = sorted(seconds)
    at = [1000 * percentile(ordered, share) for share in (0.5, 0.9, 0.99)]
    return Spread(1000 * sum(ordered) / len(ordered), *at)


def percentile(ordered: Sequence[float], share: float) -> float:
    """By linear interpolation between the two nearest, as numpy does and with it vLLM."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def text(words: int) -> str:
    """So many words, in an order that the engine cannot have in its cache."""
    rounds = (random.sample(WORDS, len(WORDS)) for _ in range(words // len(WORDS) + 1))
    return " ".join(list(chain.from_iterable(rounds))[:words])


def _said(error: "OpenAIError") -> str:
    return str(error)[:REASON_LENGTH]


async def _ask_all(
    url: str, key: str, model: str, load: Load, concurrency: int, requests: int
) -> tuple[list[Request | str], float]:
    """What came of each request, and the seconds of all.

    Two come before and do not count: one tells how many tokens a round of words is, the other, like all, warms up.
    Raises OpenAIError where the first is not answered.
    """
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAIError

    direct, limit = DefaultAsyncHttpxClient(trust_env=False), REQUEST_SECONDS
    async with AsyncOpenAI(base_url=url, api_key=key, timeout=limit, max_retries=0, http_client=direct) as api:
        first = await _ask(api, model, text(len(WORDS)), 2)
        words = max(1, len(WORDS) * load.input_tokens // max(1, first.input_tokens))
        with suppress(OpenAIError):
            await _ask(api, model, text(words), load.output_tokens)
        todo = iter([text(words) for _ in range(requests)])
        began = time.perf_counter()
        done = await asyncio.gather(*(_work(api, model, load, todo) for _ in range(concurrency)))
        return [one for some in done for one in some], time.perf_counter() - began


async def _work(api: "AsyncOpenAI", model: str, load: Load, todo: Iterator[str]) -> list[Request | str]:
    """One of those who ask, one request after the other; of a request that fails, the reason."""
    from openai import OpenAIError

    done: list[Request | str] = []
    for prompt in todo:
        try:
            done.append(await _ask(api, model, prompt, load.output_tokens))
        except OpenAIError as error:
            done.append(_said(error))
    return done


async def _ask(api: "AsyncOpenAI", model: str, prompt: str, tokens: int) -> Request:
    """Raises OpenAIError, also for an answer without a token."""
    from openai import OpenAIError

    began = time.perf_counter()
    moments: list[float] = []
    counts = (0, 0)
    answer = await api.completions.create(
        model=model,
        prompt=prompt,
        max_tokens=tokens,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"ignore_eos": True},
    )
    async for piece in answer:
        if piece.choices:
            moments.append(time.perf_counter())
        if piece.usage:
            counts = piece.usage.prompt_tokens, piece.usage.completion_tokens
    if not moments:
        raise OpenAIError("the stream ended without a token")
    gaps = tuple(after - before for before, after in pairwise(moments))
    return Request(moments[0] - began, gaps, moments[-1] - began, counts[0], counts[1] or len(moments))
