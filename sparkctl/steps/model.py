"""The model on the head: downloaded once from the hub, resumable, at one pinned revision."""

import json
import shlex
from dataclasses import dataclass

from sparkctl.amounts import size
from sparkctl.core.action import Action, Context, Progress
from sparkctl.core.actions import Script
from sparkctl.core.step import Absent, Drifted, Finding, Layer, Ok, step_id
from sparkctl.data import template
from sparkctl.errors import CommandFailed
from sparkctl.facts.model import (
    ModelFact,
    ModelRecords,
    folder_name,
    marker_file,
    marker_files,
    model_probe,
    records_probe,
)
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.steps.host_state import tidy
from sparkctl.steps.place import OnHead
from sparkctl.topology import Cluster


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from and goes to. `allow` are globs of file names; `hf_cache` is an absolute folder."""

    model: str
    revision: str
    endpoint: str
    hf_cache: str
    allow: tuple[str, ...] = ("*",)
    workers: int = 4


@dataclass(frozen=True)
class ModelStep(OnHead):
    """The model's files, whole, in the head's cache."""

    source: ModelSource
    token_path: str
    name: str = "model"
    layer: Layer = Layer.MODEL
    extra_needs: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("cache", self.node), *self.extra_needs)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self._probe), Want(self.node, self._records))

    def check(self, facts: Facts) -> Finding:
        download = Download(self.cluster, self.source, self.token_path)
        fact = facts.get(self.node, self._probe)
        if fact is None:
            return Absent((download,))
        if fact.missing:
            return Drifted((f"{len(fact.missing)} of {len(fact.wished)} files are missing or cut",), (download,))
        if not fact.covers(self.source.allow):
            return Drifted(("it was brought with other globs in model.allow",), (download,))
        return Ok(f"{fact.commit[:12]}, {size(fact.size)}")

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        records = facts.get(self.node, self._records)
        return (_remove(self.cluster, self.source, ours=records.ours),) if records.present else ()

    @property
    def _probe(self) -> Probe[ModelFact | None]:
        s = self.source
        return model_probe(self.cluster, self.cluster.head, s.hf_cache, s.model, s.revision)

    @property
    def _records(self) -> Probe[ModelRecords]:
        return records_probe(self.cluster, self.cluster.head, self.source.model)


@dataclass(frozen=True)
class Download:
    """Fetch what is missing of a model, by a script that the node's own python3 runs."""

    cluster: Cluster
    source: ModelSource
    token_path: str

    @property
    def summary(self) -> str:
        return f"download {self.source.model} at {self.source.revision}"

    @property
    def detail(self) -> str:
        return f"from {self.source.endpoint} to {self.source.hf_cache}/hub/{folder_name(self.source.model)}"

    def perform(self, context: Context) -> None:
        head, source = self.cluster.head, self.source
        job = {
            "endpoint": source.endpoint,
            "repo": source.model,
            "revision": source.revision,
            "cache": source.hf_cache,
            "token_file": self.token_path,
            "allow": source.allow,
            "workers": source.workers,
            "marker": marker_file(self.cluster, head, source.model, source.revision),
            "records": marker_files(self.cluster, head, source.model),
        }
        watch = Watch(context, self.summary)
        argv = ("python3", "-c", template("hub_download.py"), json.dumps(job))
        result = context.session.run(argv, timeout=None, check=False, on_line=watch.see)
        if result.rc != 0:
            raise CommandFailed(
                f"could not {self.summary}: {watch.error or 'the download ended early'}",
                where=head.name,
                fix=watch.fix or "run up again: what has arrived is kept",
                output=result.stderr,
            )


@dataclass
class Watch:
    """Reads a downloading program's lines of JSON: bytes `done` of `total`, a `note`, or `error` and `fix`."""

    context: Context
    message: str
    total: int = 0
    error: str = ""
    fix: str = ""

    def see(self, line: str) -> None:
        try:
            words = json.loads(line)
        except ValueError:
            return
        self.total = int(words.get("total", self.total))
        self.error, self.fix = words.get("error", self.error), words.get("fix", self.fix)
        if "done" in words:
            self.context.report(Progress(self.message, int(words["done"]), self.total, "B"))
        elif "note" in words:
            self.context.say(str(words["note"]))


def _remove(cluster: Cluster, source: ModelSource, *, ours: bool) -> Action:
    """Forget a download; where the model is `ours`, remove its files as well."""
    start = shlex.quote(f"{cluster.state_dir(cluster.head)}/{folder_name(source.model)}@")
    folder = shlex.quote(f"{source.hf_cache}/hub/{folder_name(source.model)}")
    files = f"rm -rf {folder} && " if ours else ""
    what = "remove" if ours else "forget, and keep, for it was there before,"
    text = f"{files}rm -f {start}*.json {start}*.json.begun\n{tidy(cluster.state_dir(cluster.head))}"
    return Script(f"{what} the model {source.model}", text, timeout=600)
