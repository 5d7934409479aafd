"""What the verbs about models share: arguments, the look at all nodes, what is said of profiles."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.common import Options, open_sessions
from sparkctl.cli.complete_nodes import complete_models

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.errors import SparkctlError
    from sparkctl.inventory.models import Inventory, ModelEntry
    from sparkctl.inventory.wishes import Wishes
    from sparkctl.memory.shape import Shape
    from sparkctl.report.page import Line

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="ORG/NAME.", autocompletion=complete_models)]
ModelsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MODEL]...", help="ORG/NAME; those of the profile without it.", autocompletion=complete_models
    ),
]


def check_names(models: Sequence[str], revision: str) -> None:
    """Raises BadParameter for what can be neither a model nor a revision."""
    from pydantic import ValidationError

    from sparkctl.config.profile import Model

    for model in models:
        try:
            Model(id=model, revision=revision or "main")
        except ValidationError as error:
            if error.errors()[0]["loc"][0] == "id":
                raise typer.BadParameter(f"{model!r} is no ORG/NAME of the model hub", param_hint="MODEL") from None
            raise typer.BadParameter(f"{revision!r} is no branch, tag or commit", param_hint="--revision") from None


def wishes_of(options: Options, config: "Config") -> "Wishes":
    """What the profiles in reach ask for. Raises ConfigError for a lock file that cannot be read."""
    from sparkctl.config import lock
    from sparkctl.inventory import wishes

    return wishes.known(config, lock.load(lock.place(Path.cwd(), options.env_file)), Path.cwd())


def look(options: Options, config: "Config", model: str = "") -> "tuple[Wishes, Inventory, Mapping[str, str]]":
    """The models of all nodes, in one round trip each; with `model` the texts of its config.json by commit, too."""
    from sparkctl.core.plan import gather
    from sparkctl.facts.hub_cache import configs_probe
    from sparkctl.facts.probe import Want
    from sparkctl.inventory import models
    from sparkctl.stacks.goods import caches

    wishes, folders = wishes_of(options, config), caches(config)
    configs = {node.name: configs_probe(folders[node.name], model) for node in config.cluster.nodes if model}
    wants = [*models.wants(config.cluster, folders), *(Want(node, probe) for node, probe in configs.items())]
    with options.waiting() as waiting, open_sessions(config, options, waiting.watch) as sessions:
        facts = gather(sessions, wants, waiting.watch)
    texts = {commit: text for node, probe in configs.items() for commit, text in facts.get(node, probe).items()}
    return wishes, models.take(config.cluster, folders, wishes, facts), texts


def entry_of(found: "Inventory", model: str) -> "ModelEntry":
    """The model of that name. Raises SparkctlError where no node has it."""
    from sparkctl.errors import SparkctlError, hint

    entries = {entry.model: entry for entry in found.models}
    if model in entries:
        return entries[model]
    raise SparkctlError(f"{model} lies on none of the nodes{hint(model, entries)}", fix=f"sparkctl model pull {model}")


def refuse_used(entry: "ModelEntry", *, every: bool) -> None:
    """Raise SparkctlError where a model that was named may not be removed."""
    from sparkctl.errors import SparkctlError

    holders = [holding for holding in entry.nodes if holding.containers]
    if holders:
        users = ", ".join(f"{name} on {holding.node}" for holding in holders for name in holding.containers)
        raise SparkctlError(
            f"{entry.model} is in use by {users}; nothing was removed",
            where=", ".join(holding.node for holding in holders),
            fix="stop it first: sparkctl stop",
        )
    if not every and not any(holding.ours for holding in entry.nodes):
        what = f"{entry.model} was not brought by sparkctl; nothing was removed"
        raise SparkctlError(what, fix=f"sparkctl model prune {entry.model} --all")
    if entry.profiles and all(len(holding.revisions) < 2 for holding in entry.nodes):
        what = f"{entry.model} is served by profile {', '.join(entry.profiles)}; nothing was removed"
        raise SparkctlError(what, fix="take it out of the profile first; down --purge removes a whole deployment")


def blind(wishes: "Wishes") -> "SparkctlError":
    """The error where a profile cannot be read: what it serves would be taken for unused."""
    from sparkctl.errors import SparkctlError

    names = ", ".join(wishes.unread)
    fix = f"mend it, or move it away: sparkctl profile show {wishes.unread[0]}"
    return SparkctlError(f"cannot tell what is unused: profile {names} cannot be read; nothing was removed", fix=fix)


def unread(wishes: "Wishes") -> "list[Line]":
    """A note about profiles that say nothing."""
    from sparkctl.report.page import Line

    if not wishes.unread:
        return []
    return [Line(f"cannot be read: profile {', '.join(wishes.unread)}", "yellow", heads=(("note: ", "dim"),))]


def read_shape(model: str, texts: Mapping[str, str]) -> "tuple[Shape | None, str]":
    """What config.json says, or why it says nothing."""
    from sparkctl.errors import ConfigError
    from sparkctl.memory.config_json import read_shape as read

    problem = "no config.json in the cache"
    for commit, text in texts.items():
        try:
            return read(text, f"{model}@{commit[:12]}/config.json"), ""
        except ConfigError as error:
            problem = "; ".join(map(str, error.problems))
    return None, problem
