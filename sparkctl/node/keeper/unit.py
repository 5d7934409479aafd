"""One stack that is changed, put back and brought back as a whole: a served model."""

import calendar
import shutil
import time
from collections.abc import Set
from contextlib import suppress

from .nodes import look, run
from .records import HOME, Failure, Gone, Record, history, move, next_number, now, read, remember, say, write
from .stack import STOP_SECONDS, boots, bring_up, kept, key_of, lives, save_secrets

PREVIOUS = "-previous"
"""What the name of a container ends in while its successor is tried."""


class Unit:
    """One stack that is changed and comes back as a whole: a served model."""

    def __init__(self, name: str) -> None:
        self.name, self.folder = name, HOME / "units" / name

    @property
    def good(self) -> Record:
        return read(self.folder / "good.json")

    @property
    def wish(self) -> Record:
        return read(self.folder / "wish.json")

    def note(self, text: str, **more: object) -> None:
        """Leave word for whoever looks next."""
        say(text)
        if read(self.folder / "note.json").get("text") != text:
            write(self.folder / "note.json", {"text": text, "at": now(), **more})

    def keep(self, record: Record) -> None:
        """Put on record what serves."""
        write(self.folder / "good.json", record)

    def commit(self) -> None:
        """What runs now is what is wanted: on record for the next boot, what it replaced is gone. Raises Failure.

        Cut short at any point, it leaves the change in progress, or what it replaced still to be removed.
        """
        old, record = self.good, self.wish or self.good
        if not record:
            raise Failure(f"nothing is on record for {self.name}: run sparkctl up")
        if "failed" in record:  # somebody tried it again, and it serves
            record = {name: value for name, value in record.items() if name not in ("failed", "generation", "at")}
        record = {**record, "ids": running_ids(record), "replaced": replaced(old, record)}
        record |= {"lives": lives(record), "boots": boots(record)}
        save_secrets(record)
        if record["digest"] == old.get("digest"):
            record |= {name: old[name] for name in ("generation", "at")}
        elif "generation" not in record:
            record |= {"generation": self._number(record), "at": now()}
        write(self.folder / "wish.json", record)
        remember({**record, "outcome": "serves"})
        move(self.folder / "wish.json", self.folder / "good.json")
        self.tidy()
        for name in ("note.json", "tried.json"):
            (self.folder / name).unlink(missing_ok=True)
        say(f"generation {record['generation']} serves")

    def _number(self, record: Record) -> int:
        """The generation's number: that of the last one where it is started again after a stop."""
        past = [g for g in history() if g["unit"] == self.name and g["outcome"] == "serves"]
        if not self.good and past and past[-1]["digest"] == record["digest"]:
            return int(past[-1]["generation"])
        return next_number()

    def tidy(self) -> None:
        """Remove what the good one replaced. What lies on a node that does not answer is for the next `up`."""
        good = self.good
        if "replaced" not in good:
            return
        try:
            drop(good["replaced"], but={*good["ids"].values()})
        except Failure as error:
            say(str(error))
        self.keep({name: value for name, value in good.items() if name != "replaced"})

    def restore(self, why: str) -> None:
        """Take away what a change has made, and bring back what served before. Raises Failure.

        Where a node does not answer the change stays on record, and this is tried again.
        """
        good, wish, began = self.good, self._failed(why), time.monotonic()
        why = wish.get("failed", why)
        if not good:
            return self._over(f"{why}; nothing served before that could be put back", trouble=True)
        try:
            self._take_away(good, wish)
            gap_since = self._put_names_back(good)
        except Gone as error:
            self._over(f"{why}; generation {good['generation']} cannot be put back: {error}", trouble=True)
            raise
        except Failure as error:
            self.note(f"{why}; generation {good['generation']} is not put back yet: {error}", trouble=True)
            raise
        try:
            bring_up(good, self.keep)
        except Failure as error:
            self.note(f"{why}; generation {good['generation']} did not come back either: {error}", trouble=True)
            raise
        finally:
            self.folder.joinpath("wish.json").unlink(missing_ok=True)
        gap = max(0.0, time.time() - gap_since) if gap_since else 0.0
        said = f"; clients had no answers for {gap:.0f} s" if gap_since else ""
        took = time.monotonic() - began
        text = f"{why}; generation {good['generation']} was put back and answers again after {took:.0f} s{said}"
        return self.note(text, seconds=round(took, 1), gap=round(gap, 1))

    def _failed(self, why: str) -> Record:
        """The change in progress, from now on a failed one: one line of the history, however often it is ended."""
        wish = self.wish
        if wish and "failed" not in wish:
            wish |= {"failed": why, "generation": wish.get("generation") or next_number(), "at": now()}
            write(self.folder / "wish.json", wish)
        if wish and wish["digest"] != self.good.get("digest"):
            remember({**wish, "outcome": f"failed: {wish['failed']}"})
        return wish

    def _over(self, text: str, **more: object) -> None:
        """The change is over: leave word of how it ended."""
        self.note(text, **more)
        (self.folder / "wish.json").unlink(missing_ok=True)

    def _take_away(self, good: Record, wish: Record) -> None:
        old = set(good["ids"].values())
        names = {(entry["node"], entry["name"]) for entry in wish.get("containers", [])}
        record = wish or good
        for node, containers in look(record).items():
            for f in containers:
                if (node, f.name) in names and f.id not in old:
                    say(f"removing {f.name} on {node}")
                    if f.status == "running":
                        run(record, node, ["docker", "stop", "-t", str(STOP_SECONDS), f.id])
                    run(record, node, ["docker", "rm", "-f", f.id])

    def _put_names_back(self, good: Record) -> float:
        """Undo the renaming; when the API stopped, in seconds of the epoch, 0 where it did not."""
        there, stopped = kept(good, look(good)), 0.0
        for entry in good["containers"]:
            f = there[key_of(entry)]
            if f.name != entry["name"]:
                run(good, entry["node"], ["docker", "rename", f.id, entry["name"]])
            if f.status != "running":  # the API comes last
                stopped = calendar.timegm(time.strptime(f.finished[:19], "%Y-%m-%dT%H:%M:%S"))
        return stopped

    def forget(self) -> None:
        """Nothing is wanted any more: nothing comes back at a boot, and nothing is kept to be put back.

        What lies on a node that does not answer is for whoever reaches it: `stop` takes away all that is left.
        """
        if good := self.good:
            try:
                drop(replaced({}, good))
            except Failure as error:
                say(str(error))
        shutil.rmtree(self.folder, ignore_errors=True)


def running_ids(record: Record) -> Record:
    """The ids of its containers, by `service@node`. Raises Failure where one does not run, or is another one."""
    found, ids = look(record), {}
    for entry in record["containers"]:
        node, name = entry["node"], entry["name"]
        match = [f for f in found[node] if f.name == name and f.status == "running"]
        if not match:
            raise Failure(f"{name} does not run on {node}")
        if match[0].spec != entry["spec"]:
            raise Failure(f"{name} on {node} is not the one on record: somebody else made a change, run sparkctl up")
        ids[key_of(entry)] = match[0].id
    return ids


def replaced(old: Record, new: Record) -> Record:
    """What stays of one record after another: the names that were kept, and the volumes; with the way to them."""
    return {
        "cluster": new["cluster"],
        "nodes": {**old.get("nodes", {}), **new["nodes"]},
        "names": [[e["node"], e["name"] + PREVIOUS] for r in (old, new) for e in r.get("containers", [])],
        "volumes": [[s["node"], volume] for s in old.get("services", []) for volume in s["volumes"]],
    }


def drop(those: Record, but: Set[str] = frozenset()) -> None:
    """Remove what was kept to be put back, and the volumes of it that nothing uses any more. Raises Failure."""
    names = {(node, name) for node, name in those["names"]}
    for node, found in look(those).items():
        for f in found:
            if (node, f.name) in names and f.id not in but:
                run(those, node, ["docker", "rm", "-f", f.id])
    for node, volume in those["volumes"]:
        with suppress(Failure):  # its successor uses it
            run(those, node, ["docker", "volume", "rm", volume])
