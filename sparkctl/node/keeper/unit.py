"""One stack that is changed, put back and brought back as a whole: a served model."""

import calendar
import shlex
import shutil
import time

from .nodes import look, run
from .records import HOME, Failure, Record, history, next_number, now, read, remember, say, write
from .stack import STOP_SECONDS, boots, bring_up, kept, key_of, lives, save_secrets

PREVIOUS = "-previous"
"""What the name of a container ends in while its successor is tried."""
UNUSED = """for volume in $(docker volume ls -q --filter label=io.sparkctl.cluster={} --filter dangling=true); do
docker volume rm "$volume"; done"""
"""Removes the cluster's volumes that no container uses."""


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
        """What runs now is what is wanted: on record for the next boot, what it replaced is gone. Raises Failure."""
        old, record = self.good, self.wish or self.good
        found = look(record)
        names = {(node, f.name): f for node in found for f in found[node] if f.status == "running"}
        try:
            ids = {key_of(e): names[e["node"], e["name"]].id for e in record["containers"]}
        except KeyError as missing:
            raise Failure(f"{missing.args[0][1]} does not run on {missing.args[0][0]}") from missing
        record = {**record, "ids": ids}
        record |= {"lives": lives(record), "boots": boots(record)}
        save_secrets(record)
        if record["digest"] == old.get("digest"):
            record |= {name: old[name] for name in ("generation", "at")}
        else:
            record |= {"generation": self._number(record), "at": now()}
        self.keep(record)
        remember({**record, "outcome": "serves"})
        drop_previous(old)
        drop_previous(record)
        for name in ("wish.json", "note.json", "tried.json"):
            (self.folder / name).unlink(missing_ok=True)
        say(f"generation {record['generation']} serves")

    def _number(self, record: Record) -> int:
        """The generation's number: that of the last one where it is started again after a stop."""
        past = [g for g in history() if g["unit"] == self.name and g["outcome"] == "serves"]
        if not self.good and past and past[-1]["digest"] == record["digest"]:
            return int(past[-1]["generation"])
        return next_number()

    def restore(self, why: str) -> None:
        """Take away what a change has made, and bring back what served before. Raises Failure."""
        good, wish, began = self.good, self.wish, time.monotonic()
        if wish:
            remember({**wish, "generation": next_number(), "at": now(), "outcome": f"failed: {why}"})
        if not good:
            self.folder.joinpath("wish.json").unlink(missing_ok=True)
            return self.note(f"{why}; nothing served before that could be put back", trouble=True)
        self._take_away(good, wish)
        gap_since = self._put_names_back(good)
        try:
            bring_up(good, self.keep)
        except Failure as error:
            self.note(f"{why}; generation {good['generation']} did not come back either: {error}", trouble=True)
            raise
        finally:
            self.folder.joinpath("wish.json").unlink(missing_ok=True)
        gap = f"; clients had no answers for {time.time() - gap_since:.0f} s" if gap_since else ""
        took = time.monotonic() - began
        text = f"{why}; generation {good['generation']} was put back and answers again after {took:.0f} s{gap}"
        return self.note(text, seconds=round(took, 1), gap=round(time.time() - gap_since, 1) if gap_since else 0)

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
        try:
            drop_previous(self.good)
        except Failure as error:
            say(str(error))
        shutil.rmtree(self.folder, ignore_errors=True)


def drop_previous(record: Record) -> None:
    """Remove what was kept to be put back, and the volumes that nothing uses any more. Raises Failure."""
    names = {(entry["node"], entry["name"] + PREVIOUS) for entry in record.get("containers", [])}
    for node, containers in look(record).items() if names else ():
        gone = [f.id for f in containers if (node, f.name) in names]
        for one in gone:
            run(record, node, ["docker", "rm", "-f", one])
        if gone:
            run(record, node, ["sh", "-c", UNUSED.format(shlex.quote(record["cluster"]))])
