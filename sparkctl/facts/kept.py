"""What the keeper on the head has on record: what serves, what is being changed, what served before."""

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sparkctl.facts.lines import pairs
from sparkctl.facts.probe import Answer, Probe
from sparkctl.topology import Cluster

ROOT = "/var/lib/sparkctl"
MODULES = ("__init__", "__main__", "nodes", "records", "stack", "unit", "watch")
"""The keeper's program, `sparkctl/node/keeper`."""


@dataclass(frozen=True)
class UnitFact:
    """One stack on record. `digest` is of what served last, `wished` of a change in progress; both may be empty.

    `models` are those of both, with their revisions.
    `ids` are the containers that served last, by `service@node`; `note` is what the keeper has to say, `trouble`
    whether that is something to be seen to.
    """

    digest: str = ""
    generation: int = 0
    wished: str = ""
    ids: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    trouble: bool = False
    models: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class KeptFact:
    """All stacks on record, by name. `lives`: what a container that the keeper started stands on, by its life."""

    units: Mapping[str, UnitFact]
    lives: Mapping[str, frozenset[str]]

    def unit(self, name: str) -> UnitFact:
        """One of them, empty where it is not on record."""
        return self.units.get(name, UnitFact())

    @property
    def changing(self) -> bool:
        """Whether a change is in progress."""
        return any(unit.wished for unit in self.units.values())

    @property
    def models(self) -> frozenset[tuple[str, str]]:
        """The models that serve, or come back with the node's power, with their revisions."""
        return frozenset(model for unit in self.units.values() for model in unit.models)

    def ids(self) -> frozenset[str]:
        """The containers that served last."""
        return frozenset(value for unit in self.units.values() for value in unit.ids.values())


@dataclass(frozen=True)
class Generation:
    """One line of the history; `outcome` is `serves`, or how it failed; `back_to` is what a rollback went back to.

    `record` is all that is needed to go back to this one.
    """

    number: int
    unit: str
    at: str
    by: str
    model: str
    revision: str
    image: str
    image_id: str
    changes: tuple[str, ...]
    outcome: str
    digest: str
    back_to: int
    record: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def served(self) -> bool:
        """Whether a token came out of it."""
        return self.outcome == "serves"


@dataclass(frozen=True)
class KeeperFact:
    """The keeper as installed: hashes of its program and unit, and whether systemd starts and runs it."""

    program: str
    unit: str
    enabled: bool
    active: bool
    present: bool


def keeper_dir(cluster: Cluster) -> str:
    """The keeper's folder on the head, for root alone."""
    return f"{ROOT}/{cluster.name}"


def service_name(cluster: Cluster) -> str:
    """The keeper's systemd unit."""
    return f"sparkctl-keeper-{cluster.name}.service"


def kept_probe(cluster: Cluster) -> Probe[KeptFact]:
    """Every record of every stack, one line each."""
    look = f"cd {shlex.quote(keeper_dir(cluster))}/units 2>/dev/null && grep -H '' */*.json"
    return Probe("kept", f"as_root sh -c {shlex.quote(look)}", _kept)


def history_probe(cluster: Cluster) -> Probe[tuple[Generation, ...]]:
    """The history, oldest first."""
    look = f"cd {shlex.quote(keeper_dir(cluster))}/history 2>/dev/null && cat *.json"
    return Probe("history", f"as_root sh -c {shlex.quote(look)}", _history)


def keeper_probe(cluster: Cluster) -> Probe[KeeperFact]:
    """Look at the installation."""
    files = " ".join(f"keeper/{name}.py" for name in MODULES)
    unit = service_name(cluster)
    own = "ls -d keeper units history secrets 2>/dev/null | grep -q ."  # the watchdog's record lies there, too
    look = f"cd {shlex.quote(keeper_dir(cluster))} 2>/dev/null && {own} && echo present=yes && cat {files} | sha256sum"
    script = f"""\
as_root sh -c {shlex.quote(look)} | sed 's/^\\([0-9a-f]*\\)  -$/program=\\1/'
[ -e /etc/systemd/system/{unit} ] && echo "unit=$(sha256sum </etc/systemd/system/{unit} | cut -d' ' -f1)"
echo "enabled=$(systemctl is-enabled {unit})"
echo "active=$(systemctl is-active {unit})"
"""
    return Probe("keeper", script, _keeper)


def digest_of(text: str) -> str:
    """As sha256sum prints it."""
    return hashlib.sha256(text.encode()).hexdigest()


def _keeper(answer: Answer) -> KeeperFact:
    found = pairs(answer.stdout)
    unit = found.get("unit", "")
    return KeeperFact(
        program=found.get("program", ""),
        unit=unit,
        enabled=found.get("enabled") == "enabled",
        active=found.get("active") == "active",
        present=bool(unit) or found.get("present") == "yes",
    )


def _kept(answer: Answer) -> KeptFact:
    units: dict[str, dict[str, Mapping[str, Any]]] = {}
    for line in answer.stdout.splitlines():
        place, _, text = line.partition(":")
        unit, _, name = place.partition("/")
        if record := _json(text):
            units.setdefault(unit, {})[name] = record
    lives = {
        life: frozenset(map(str, under))
        for records in units.values()
        for life, under in _mapping(records.get("good.json", {}).get("lives")).items()
        if isinstance(under, list)
    }
    return KeptFact({name: _unit(records) for name, records in units.items()}, lives)


def _unit(records: Mapping[str, Mapping[str, Any]]) -> UnitFact:
    good, wish, note = (records.get(f"{name}.json", {}) for name in ("good", "wish", "note"))
    ids = {key: str(value) for key, value in _mapping(good.get("ids")).items()}
    said, trouble = str(note.get("text", "")), note.get("trouble") is True
    models = frozenset((str(of["model"]), str(of.get("revision", ""))) for of in (good, wish) if of.get("model"))
    digest, wished = (str(record.get("digest", "")) for record in (good, wish))
    return UnitFact(digest, _number(good), wished, ids, said, trouble, models)


def _history(answer: Answer) -> tuple[Generation, ...]:
    return tuple(_generations(answer.stdout))


def _generations(text: str) -> Iterator[Generation]:
    for record in filter(None, map(_json, text.splitlines())):
        changes = record.get("changes")
        words = {name: str(record.get(name, "")) for name in ("unit", "at", "by", "model", "revision", "outcome")}
        yield Generation(
            number=_number(record),
            image=str(record.get("image", "")),
            image_id=str(record.get("image_id", "")),
            changes=tuple(map(str, changes)) if isinstance(changes, list) else (),
            digest=str(record.get("digest", "")),
            back_to=_number(record, "back_to"),
            record=record,
            **words,
        )


def _number(record: Mapping[str, Any], name: str = "generation") -> int:
    found = record.get(name)
    return found if isinstance(found, int) else 0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _json(text: str) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(text))
    except ValueError:
        return {}
