"""`sparkctl bench serve`: a served model under load, by the engine's own tool or by our client."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkctl.bench import engine_tool, load
from sparkctl.bench.ground import Run
from sparkctl.bench.results import Level, Load, Machine, Model, ServeResult
from sparkctl.bench.roofline import Active, active, config_probe, roofline
from sparkctl.engines.engine import Backend, Store
from sparkctl.engines.registry import engine
from sparkctl.errors import CommandFailed, SparkctlError, UnhealthyError
from sparkctl.facts.docker import ImageFact
from sparkctl.facts.model import model_probe
from sparkctl.facts.probe import Facts, Want
from sparkctl.stacks.goods import caches
from sparkctl.stacks.workload import key_path, serve_spec

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.config.served import Served

TOOLS = ("auto", "engine", "client")
"""Who measures: the engine's own tool where its image has one, that tool or nothing, or our own client."""
ANSWER_SECONDS = 15.0
SPARE_TOKENS = 16
"""Texts of random tokens may come out a few tokens longer."""


@dataclass(frozen=True)
class ServeWish:
    """What is asked for: how many at a time, of what size, by which tool."""

    levels: tuple[int, ...]
    load: Load
    tool: str = "auto"


@dataclass(frozen=True)
class Measured:
    """The levels, who measured them from where, and what is to be said about it."""

    levels: tuple[Level, ...]
    tool: str
    place: str
    notes: tuple[str, ...] = ()


def check(wish: ServeWish, served: "Served") -> tuple[str, ...]:
    """Remarks about a wish that the engine cannot meet in full. Raises SparkctlError where it cannot at all."""
    length, most = wish.load.input_tokens + wish.load.output_tokens + SPARE_TOKENS, served.engine.max_model_len
    if most and length > most:
        what = f"{length} tokens (in, out, and {SPARE_TOKENS} to spare) do not fit into max_model_len {most}"
        raise SparkctlError(what, where=served.served_name, fix="give smaller --input-tokens or --output-tokens")
    slots = served.engine.max_num_seqs
    waiting = [level for level in wish.levels if slots and level > slots]
    if not waiting:
        return ()
    return (f"the engine takes {slots} requests at once (max_num_seqs): of more, the others wait for their turn",)


def measure(
    config: "Config", served: "Served", wish: ServeWish, key: str, image: ImageFact | None, run: Run
) -> Measured:
    """All levels. Raises UnhealthyError where nothing answers, CommandFailed, UnreachableError."""
    notes: list[str] = []
    head, api = served.cluster.head, engine(served.engine.name).API
    with run.sessions[head.name].forward(api.address(served.cluster), served.ports.api) as local:
        url = f"http://127.0.0.1:{local}/v1"
        await_answer(url, key, served.served_name)
        if wish.tool != "client":
            levels, why = _by_engine(config, served, wish, image, run)
            if levels:
                place = f"a container of the engine's image on {head.name}"
                return Measured(levels, engine_tool.TOOL, place)
            if wish.tool == "engine":
                raise SparkctlError(f"{engine_tool.TOOL} cannot measure: {why}", where=head.name, fix="--tool client")
            notes.append(f"measured by our client, as {engine_tool.TOOL} cannot: {why}")
        made = [_by_client(url, key, served.served_name, wish.load, level, run.say) for level in wish.levels]
    return Measured(tuple(made), load.TOOL, "the laptop, through SSH", tuple(notes))


def describe(served: "Served") -> Model:
    """What serves; the image without the address of its registry."""
    host, slash, rest = served.image.ref.partition("/")
    image = rest if slash and ("." in host or ":" in host or host == "localhost") else served.image.ref
    nodes = tuple(node.name for node in served.cluster.nodes)
    return Model(served.model.id, served.served_name, served.engine.name, image, served.tensor_parallel, nodes)


def active_wants(config: "Config", served: "Served") -> tuple[Want, ...]:
    """The probes that `active_of` reads."""
    head, model = served.cluster.head, served.model
    files = model_probe(config.cluster, head, caches(config)[head.name], model.id, model.revision)
    config_json = config_probe(caches(config)[head.name], model.id, model.revision)
    return (Want(head.name, files), Want(head.name, config_json))


def active_of(config: "Config", served: "Served", facts: Facts) -> Active:
    """The bytes of weights that one token of the model reads."""
    if engine(served.engine.name).STORE is not Store.HUB:
        return Active(None, f"{served.engine.name} keeps its models in a store of its own")
    files, config_json = (facts.get(want.node, want.probe) for want in active_wants(config, served))
    return active(config_json, files, served.engine.dtype or "")


def result(
    stamp: tuple[str, str],
    cluster: str,
    served: "Served",
    machines: tuple[Machine, ...],
    wish: ServeWish,
    measured: Measured,
    found: Active,
) -> ServeResult:
    """All of it as one result; `stamp` are its moment and the version of sparkctl. Pure."""
    roof = roofline(found, machines, served.tensor_parallel, measured.levels)
    place, notes = measured.place, measured.notes
    return ServeResult(
        *stamp, cluster, machines, describe(served), measured.tool, place, wish.load, measured.levels, roof, notes
    )


def await_answer(url: str, key: str, model: str) -> None:
    """The model must be there before it is measured. Raises UnhealthyError."""
    from openai import DefaultHttpxClient, OpenAI, OpenAIError

    direct = DefaultHttpxClient(trust_env=False)
    try:
        with OpenAI(base_url=url, api_key=key, timeout=ANSWER_SECONDS, max_retries=0, http_client=direct) as client:
            names = [one.id for one in client.models.list()]
    except OpenAIError as error:
        what = f"{model} does not answer: {type(error).__name__}"
        raise UnhealthyError(what, where=model, fix="deploy it (sparkctl up), or see why: sparkctl status") from error
    if model not in names:
        raise UnhealthyError(f"{', '.join(names) or 'nothing'} is served, not {model}", where=model, fix="sparkctl up")


def _by_engine(
    config: "Config", served: "Served", wish: ServeWish, image: ImageFact | None, run: Run
) -> tuple[tuple[Level, ...], str]:
    """What the engine's tool measured; else nothing, and why."""
    if served.engine.name != "vllm" or image is None:
        return (), f"the engine is {served.engine.name}" if image else "the engine's image is not on the head"
    seed = int(time.time()) % 1_000_000
    spec = serve_spec(config, served, Backend.MP)
    try:
        levels = engine_tool.measure(
            served.cluster, spec, key_path(config, served), image.id, wish.load, wish.levels, seed, run
        )
    except CommandFailed as error:
        return (), f"{error.what}; {error.output.splitlines()[-1]}" if error.output else error.what
    return levels, "" if levels else "the image has no such tool"


def _by_client(url: str, key: str, model: str, asked: Load, level: int, say: Callable[[str], None]) -> Level:
    say(f"sparkctl asks, {level} at a time")
    return load.measure(url, key, model, asked, level)
