"""model verify: are the files what the hub's hashes say?"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.common import Options, load_config, open_sessions
from sparkctl.cli.models import ModelsArgument, check_names

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.errors import SparkctlError
    from sparkctl.facts.hub_cache import CachedModel
    from sparkctl.facts.probe import Facts
    from sparkctl.inventory.verify import Check, Verdict
    from sparkctl.report.screen import Screen


def verify(
    options: Options,
    models: ModelsArgument = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Remove bad files, so that the next pull fetches them again.")
    ] = False,
) -> int:
    """Hash the files of models where they lie, all nodes at once, and compare with what the hub has.

    Exits with 2 where a file is bad or missing.
    """
    from sparkctl.cli.work import errors_of, perform
    from sparkctl.core.plan import gather
    from sparkctl.inventory import models as inventory
    from sparkctl.inventory.verify import verify as hash_all
    from sparkctl.report.inventory import show_verdicts, verdicts_data
    from sparkctl.stacks.goods import Goods, caches

    check_names(models or (), "")
    screen, config = options.screen("model-verify"), load_config(options)
    verdicts: list[Verdict] = []
    with options.waiting() as waiting, open_sessions(config, options, waiting.watch) as sessions:
        facts = gather(sessions, inventory.wants(config.cluster, caches(config)), waiting.watch)
        checks = _checks(config, facts, models or [model for model, _ in Goods(config).models])
        outcome, _ = perform(
            screen, config.cluster.name, lambda emit, stop: hash_all(checks, sessions, emit, stop, verdicts)
        )
    screen.put(cluster=config.cluster.name, verdicts=verdicts_data(verdicts), repaired=False)
    if not screen.json:
        screen.page.write(list(show_verdicts(verdicts, screen.glyphs)))
    if errors := errors_of(outcome, "model verify"):
        return screen.fail(*errors)
    bad = [verdict for verdict in verdicts if verdict.bad]
    if bad and repair:
        return _repair(options, screen, config, bad)
    if bad:
        return screen.fail(_damaged(bad))
    screen.finish()
    return 0


def _checks(config: "Config", facts: "Facts", models: Collection[str]) -> "list[Check]":
    """What there is to hash. Raises SparkctlError where a model lies on no node."""
    from sparkctl.errors import SparkctlError
    from sparkctl.facts.hub_cache import folder_of, hub_cache_probe, ledger_probe
    from sparkctl.inventory.verify import Check
    from sparkctl.stacks.goods import caches

    folders, nodes = caches(config), config.cluster.nodes
    listed: dict[str, dict[str, dict[str, int]]] = {}
    for node in nodes:
        for (repo, _), marker in facts.get(node.name, ledger_probe(config.cluster, node)).markers.items():
            listed.setdefault(repo, {})[marker.commit] = dict(marker.files)
    here = {node.name: facts.get(node.name, hub_cache_probe(folders[node.name])).models for node in nodes}
    found = [
        Check(node, model, folder_of(folders[node], model), _present(listed.get(model, {}), here[node][model]))
        for model in dict.fromkeys(models)
        for node in here
        if model in here[node]
    ]
    if lost := [model for model in models if model not in {check.model for check in found}]:
        what = f"{', '.join(lost)}: on none of the nodes"
        raise SparkctlError(what, where=config.cluster.name, fix=f"sparkctl model pull {' '.join(lost)}")
    return found


def _present(listed: "dict[str, dict[str, int]]", cached: "CachedModel") -> "dict[str, dict[str, int]]":
    """The listings of revisions that a node has."""
    return {commit: files for commit, files in listed.items() if commit in cached.snapshots}


def _repair(options: Options, screen: "Screen", config: "Config", bad: "Sequence[Verdict]") -> int:
    """Remove the bad files; what is missing, or not a blob, has nothing to be removed."""
    from sparkctl.cli.part import take
    from sparkctl.stacks.goods import caches
    from sparkctl.steps.prune import DropBlobs

    folders = caches(config)
    steps = [
        DropBlobs(
            config.cluster,
            config.cluster.node(verdict.node),
            folders[verdict.node],
            verdict.model,
            tuple(dict.fromkeys(file.blob for file in verdict.bad if file.blob)),
            name=f"repair:{verdict.model}",
        )
        for verdict in bad
    ]
    screen.put(repaired=True)
    models = " ".join(dict.fromkeys(verdict.model for verdict in bad))
    after = f"sparkctl model pull {models}"
    return take(options, screen, config, steps, "model verify --repair", yes=True, after=after)


def _damaged(bad: "Sequence[Verdict]") -> "SparkctlError":
    from sparkctl.amounts import plural
    from sparkctl.errors import UnhealthyError

    models = " ".join(dict.fromkeys(verdict.model for verdict in bad))
    count = sum(len(verdict.bad) for verdict in bad)
    names = sorted({file.file for verdict in bad for file in verdict.bad})
    return UnhealthyError(
        f"{plural(count, 'file')} of {models} not as on the hub: {', '.join(names[:3])}{' ...' * (len(names) > 3)}",
        where=", ".join(dict.fromkeys(verdict.node for verdict in bad)),
        fix=f"sparkctl model verify {models} --repair\nthen: sparkctl model pull {models}",
    )
