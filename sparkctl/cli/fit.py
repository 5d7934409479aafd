"""fit: whether a model fits the nodes, what of it fits at most, and what is nearest that does."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparkctl.cli.common import Options, load_config, new_app, open_sessions, with_options
from sparkctl.cli.complete_nodes import complete_models

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sparkctl.config.load import Config
    from sparkctl.config.served import Served
    from sparkctl.facts.checkpoint import CheckpointFact
    from sparkctl.facts.probe import Facts
    from sparkctl.memory.demand import Wish
    from sparkctl.memory.verdict import Room
    from sparkctl.topology import Node

app = new_app()

NOWHERE = {"CONTROL_PLANE_API_IP": "192.0.2.1", "WORKER_NODE_SSH_TARGET": "192.0.2.2"}
"""Nodes for who has none yet, by addresses of the documentation's range (RFC 5737)."""

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="[MODEL]",
        help="ORG/NAME on the hub, a folder with its files, or one that the profile serves.",
        autocompletion=complete_models,
    ),
]
TpOption = Annotated[
    int,
    typer.Option(
        "--tp", min=0, max=1024, metavar="N", help="GPUs that share every layer, one per node; 0: as configured."
    ),
]
LengthOption = Annotated[
    int, typer.Option("--max-model-len", min=0, metavar="TOKENS", help="Context window; 0: as configured.")
]
ConcurrencyOption = Annotated[
    int, typer.Option("--concurrency", min=1, metavar="N", help="Requests of that length at once.")
]
UtilOption = Annotated[
    float, typer.Option("--util", metavar="PART", help="Part of the memory that the engine takes; 0: as configured.")
]
KvOption = Annotated[str, typer.Option("--kv-dtype", metavar="TYPE", help="Type of the cache, such as fp8.")]
QuantOption = Annotated[
    str, typer.Option("--quantization", metavar="NAME", help="Load it as fp8, nvfp4, awq, q4_k_m, ...")
]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="Ask no node: fresh Sparks with 121.7 GiB, and the hub from here.")
]


@app.command()
@with_options
def fit(
    options: Options,
    model: ModelArgument = "",
    tp: TpOption = 0,
    max_model_len: LengthOption = 0,
    concurrency: ConcurrencyOption = 1,
    util: UtilOption = 0.0,
    kv_dtype: KvOption = "",
    quantization: QuantOption = "",
    offline: OfflineOption = False,
) -> int:
    """Tell whether a model fits the memory of the nodes, with the arithmetic; change nothing.

    What this cluster serves now counts as free. Exits with 0 when it fits, 2 when not, 3 for a model or a value that
    cannot be.
    """
    from sparkctl.cli.fit_sources import refuse
    from sparkctl.config import engine_args
    from sparkctl.config.wishes import weights_of
    from sparkctl.memory.verdict import judge
    from sparkctl.report.fit import show_verdict, verdict_data
    from sparkctl.stacks.goods import PUBLIC_HUB

    screen, config = options.screen("fit"), (_load_offline if offline else load_config)(options)
    served, own = _nearest_served(config, model)
    name = served.model.id if own else model
    given: dict[str, Any] = {
        "max_model_len": max_model_len,
        "utilization": util,
        "kv_dtype": kv_dtype,
        "quantization": quantization,
    }
    wish = replace(
        _wish(config, served, tp, own=own), concurrency=concurrency, **{k: v for k, v in given.items() if v}
    )
    nodes = _nodes(served.cluster.nodes if own else config.cluster.nodes, wish.ranks, offline=offline)
    revision, allow = (served.model.revision, served.model.allow) if own else ("main", ())
    hub = "" if own and engine_args.tagged(served.engine.name) else config.settings.hf_endpoint or PUBLIC_HUB
    fact, rooms = (_offline if offline else _live)(config, options, name, revision, nodes, hub)
    rooms = _shared(config, served, rooms) if own else rooms
    checkpoint = fact.best(name, allow, quantization, weights_of(served) if own else 0)
    if checkpoint is None:
        raise refuse(fact, name, hub)
    verdict, source = judge(checkpoint, wish, rooms), fact.source if checkpoint.seen else "profile"
    screen.put(cluster=config.cluster.name, **verdict_data(verdict, source))
    if not screen.json:
        screen.page.write(show_verdict(verdict, source, screen.glyphs))
    screen.finish()
    return 0 if verdict.fits else 2


def _load_offline(options: Options) -> "Config":
    """The configuration, with addresses that lead nowhere where it has none. Raises as `load_config`."""
    from sparkctl.config.nodes import UNSET
    from sparkctl.errors import ConfigError

    try:
        return load_config(options)
    except ConfigError as error:
        if not all(problem.found == UNSET and problem.name in NOWHERE for problem in error.problems):
            raise
        given = (f"{problem.name}={NOWHERE[problem.name]}" for problem in error.problems)
        return load_config(replace(options, set_values=[*options.set_values, *given]))


def _nearest_served(config: "Config", model: str) -> "tuple[Served, bool]":
    """The served model that is meant, or whose sizes hold for another one, and whether it is itself meant.

    Raises SparkctlError where the profile serves none, BadParameter for a name that no model has.
    """
    from sparkctl.cli.fit_sources import is_folder
    from sparkctl.cli.models import check_names
    from sparkctl.stacks.serving import chosen

    known = {word for one in config.served for word in (one.name, one.served_name, one.model.id)}
    if not model or model in known:
        by_id = next((one for one in config.served if one.model.id == model), None)
        return by_id or chosen(config, model), True
    if not is_folder(model):
        check_names((model,), "")
    return config.served[0], False


def _wish(config: "Config", served: "Served", tp: int, *, own: bool) -> "Wish":
    """As the profile has it; another model is split over all nodes."""
    from sparkctl.config.wishes import wish_of

    wish = wish_of(served)
    if own and not tp:
        return wish
    split = replace(wish, tensor_parallel=tp or len(config.cluster.nodes), pipeline_parallel=1, spread=1)
    return split if own else replace(split, quantization="", dtype="")


def _nodes(configured: "Sequence[Node]", count: int, *, offline: bool) -> "list[Node]":
    """As many nodes as hold a copy of the model. Raises ConfigError where there are not so many, and it matters."""
    from sparkctl.errors import ConfigError, Problem
    from sparkctl.topology import Node, Role

    if count > len(configured) and not offline:
        problem = Problem("--tp", "nodes", str(count), f"at most {len(configured)}, as many as are configured")
        fix = "add --offline to ask about Sparks that are not there"
        raise ConfigError((problem,), place="on the command line", fix=fix)
    more = [Node(f"spark-{rank + 1}", Role.WORKER, "", "") for rank in range(len(configured), count)]
    return [*configured, *more][:count]


def _shared(config: "Config", served: "Served", rooms: "tuple[Room, ...]") -> "tuple[Room, ...]":
    """The nodes with what the models take that always serve beside this one there."""
    from sparkctl.config.wishes import weights_of, wish_of
    from sparkctl.memory.checkpoint import Checkpoint
    from sparkctl.memory.verdict import judge
    from sparkctl.stacks.serving import started

    def takes(other: "Served", room: "Room") -> int:
        known = Checkpoint.unknown(other.model.id, weights_of(other))
        return judge(known, wish_of(other), (room,)).nodes[0].takes

    others = [other for other in started(config) if other.name != served.name]
    names = {other.name: {node.name for node in other.cluster.nodes} for other in others}
    return tuple(
        replace(room, beside=sum(takes(other, room) for other in others if room.node in names[other.name]))
        for room in rooms
    )


def _offline(
    config: "Config", _options: Options, model: str, revision: str, nodes: "Sequence[Node]", hub: str
) -> "tuple[CheckpointFact, tuple[Room, ...]]":
    """The model from a folder or the hub, where there is one, and fresh Sparks. Raises SparkctlError."""
    from sparkctl.cli.fit_sources import from_folder, from_hub, is_folder
    from sparkctl.facts.checkpoint import CheckpointFact
    from sparkctl.memory.demand import GB10_GIB, GIB
    from sparkctl.memory.verdict import Room
    from sparkctl.stacks.budgets import reserve_of

    total = round(GB10_GIB * GIB)
    rooms = tuple(Room(node.name, total, total, reserve_of(config)) for node in nodes)
    if is_folder(model):
        return from_folder(model), rooms
    token = config.settings.hf_token.get_secret_value()
    return from_hub(hub, model, revision, token) if hub else CheckpointFact(), rooms


def _live(
    config: "Config", options: Options, model: str, revision: str, nodes: "Sequence[Node]", hub: str
) -> "tuple[CheckpointFact, tuple[Room, ...]]":
    """The model as the head sees it, and the nodes as they are, asked at once. Raises SparkctlError."""
    from sparkctl.cli.fit_sources import from_folder, is_folder
    from sparkctl.core.plan import gather
    from sparkctl.facts.checkpoint import CheckpointFact
    from sparkctl.facts.docker import CONTAINERS
    from sparkctl.facts.host import HOST
    from sparkctl.facts.probe import Want
    from sparkctl.stacks.budgets import look_of

    own = from_folder(model) if is_folder(model) else None if hub else CheckpointFact()
    look = Want(config.cluster.head.name, look_of(config, model, revision))
    wants = [Want(node.name, probe) for node in config.cluster.nodes for probe in (HOST, CONTAINERS)]
    wants += [] if own else [look]
    with options.waiting() as waiting, open_sessions(config, options, waiting.watch) as sessions:
        facts = gather(sessions, wants, waiting.watch)
    return own or facts.get(look.node, look.probe), tuple(_room(config, node, facts) for node in nodes)


def _room(config: "Config", node: "Node", facts: "Facts") -> "Room":
    """A node's memory as if nothing of this cluster ran. Raises SparkctlError where it does not say."""
    from sparkctl.errors import SparkctlError
    from sparkctl.facts.host import HOST
    from sparkctl.memory.verdict import Room
    from sparkctl.stacks.budgets import budget_of, reserve_of
    from sparkctl.steps.memory import running_share

    host = facts.get(node.name, HOST)
    if not host.memory_total or host.memory_available is None:
        raise SparkctlError(
            "MemTotal and MemAvailable cannot be read", where=node.name, fix="look at /proc/meminfo there"
        )
    budgets = (budget_of(config, served) for served in config.served if node in served.cluster.nodes)
    ours = sum(running_share(budget, facts, node.name) for budget in budgets)
    available = min(host.memory_total, host.memory_available + int(ours * host.memory_total))
    return Room(node.name, host.memory_total, available, reserve_of(config))
