"""`sparkctl agents eval`: the suites over a subject, and the floors beside it."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sparkctl.agents.core.failure import Failure
from sparkctl.agents.eval.code import CodeScore, Execute, passes, program_in, read_tasks, score_code
from sparkctl.agents.eval.line import opened
from sparkctl.agents.eval.retrieval import retrieval_report
from sparkctl.agents.eval.routing import Prompt, RoutingScore, read_prompts, score_routing
from sparkctl.agents.eval.routing_floor import floors
from sparkctl.agents.eval.subject import Subject, subject_at
from sparkctl.agents.sandbox.client import SandboxClient
from sparkctl.errors import SparkctlError

SUITES = ("routing", "code", "retrieval")
AT_ONCE = 4
"""Requests at a time."""
USER = "sparkctl-eval"
NO_SANDBOX = (
    "programs that a model writes are run in a sandbox only, and none was named: `sparkctl agents sandbox` serves one "
    "in its container, --sandbox names its socket"
)
Tell = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Wish:
    """What is evaluated. An empty endpoint leaves the floors; `docs` is a folder of pages to search as well."""

    suites: tuple[str, ...] = SUITES
    endpoint: str = ""
    key_file: Path | None = None
    model: str = ""
    seeds: int = 1
    sandbox: str = ""
    docs: Path | None = None


def evaluate(wish: Wish, tell: Tell) -> dict[str, Any]:
    """The report, as docs/json.md has it. `tell` hears how far it is. Raises SparkctlError."""
    key = _key(wish.key_file) if wish.key_file else ""
    found: dict[str, Any] = {"subject": ""}
    if wish.endpoint:
        found = asyncio.run(_served(wish, key, tell))
    if "routing" in wish.suites:
        found["routing"] = [*found.get("routing", ()), *map(asdict, floors(read_prompts()))]
    if "retrieval" in wish.suites:
        tell("retrieval: searching")
        found["retrieval"] = asdict(retrieval_report(wish.docs))
    return found


async def _served(wish: Wish, key: str, tell: Tell) -> dict[str, Any]:
    """What needs an endpoint."""
    async with opened(wish.endpoint, key) as line:
        subject = await subject_at(line, wish.model)
        found: dict[str, Any] = {"subject": subject.title, "seeds": wish.seeds}
        if "routing" in wish.suites:
            found["routing"] = [asdict(await routing_of(subject, read_prompts(), wish.seeds, tell))]
        if "code" in wish.suites and wish.sandbox:
            found["code"] = asdict(await code_of(subject, wish.seeds, in_sandbox(wish.sandbox), tell))
        elif "code" in wish.suites:
            found["notes"] = [NO_SANDBOX]
        return found


async def routing_of(subject: Subject, every: Sequence[Prompt], seeds: int, tell: Tell) -> RoutingScore:
    """The subject over those of the prompts that its team can be right about."""
    prompts = [one for one in every if subject.kinds & set(one.accept)]
    work = [(prompt.prompt, seed) for seed in range(seeds) for prompt in prompts]
    labels = await in_parallel("routing", tell, [partial(subject.route, *given) for given in work])
    return score_routing(subject.title, prompts, _by_seed(labels, len(prompts)))


async def code_of(subject: Subject, seeds: int, execute: Execute, tell: Tell) -> CodeScore:
    """The subject over all tasks."""
    tasks = read_tasks()

    async def attempt(number: int, seed: int) -> bool:
        task = tasks[number]
        answer = await subject.write(task.question, seed)
        return await passes(task, program_in(answer, task.entry), execute)

    work = [(number, seed) for seed in range(seeds) for number in range(len(tasks))]
    passed = await in_parallel("code", tell, [partial(attempt, *given) for given in work])
    return score_code(subject.title, tasks, _by_seed(passed, len(tasks)))


def in_sandbox(socket: str) -> Execute:
    """Programs run in the sandbox at that socket, each in a session of its own. Raises SparkctlError."""
    client = SandboxClient(socket)

    async def execute(program: str) -> tuple[int, str]:
        session = uuid.uuid4().hex
        try:
            result = await client.execute(USER, session, "python", program)
            await client.forget(USER, session)
        except Failure as failure:
            fix = f"{NO_SANDBOX.rpartition(': ')[2]}; its self-test must have passed"
            raise SparkctlError(f"the sandbox at {socket} runs nothing: {failure.message}", fix=fix) from failure
        return result.exit_code, result.output

    return execute


async def in_parallel(what: str, tell: Tell, work: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """The results in order, a few at a time. The first error ends what is under way, and says how far it came."""
    gate, done = asyncio.Semaphore(AT_ONCE), 0

    async def one(call: Callable[[], Awaitable[T]]) -> T:
        nonlocal done
        async with gate:
            result = await call()
        done += 1
        tell(f"{what}: {done} of {len(work)}")
        return result

    tasks = [asyncio.ensure_future(one(call)) for call in work]
    try:
        return await asyncio.gather(*tasks)
    except SparkctlError as error:
        error.where = error.where or f"{what}, after {done} of {len(work)}; nothing was scored"
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _by_seed(values: Sequence[T], count: int) -> list[Sequence[T]]:
    return [values[start : start + count] for start in range(0, len(values), count)]


def _key(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is no text"
        raise SparkctlError(
            f"the key file {path} cannot be read: {why}", fix="--key-file names a readable file"
        ) from error
