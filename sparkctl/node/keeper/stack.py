"""A stack brought up: its containers in order, each after what it waits for, until a token comes through."""

import json
import shlex
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .nodes import BOOT, Found, look, run
from .records import HOME, Failure, Gone, Record, put, say

MEMORY_SECONDS = 60.0
"""How long the memory of what was stopped may take to come back; our choice, docs/survival.md."""
STOP_SECONDS = 5
"""What a container has left to end in once nobody is served by it."""


def key_of(entry: Record) -> str:
    """`service@node`."""
    return f"{entry['service']}@{entry['node']}"


def kept(record: Record, found: dict[str, list[Found]]) -> dict[str, Found]:
    """The containers that a committed record names by id. Raises Gone."""
    there = {}
    for entry in record["containers"]:
        key = key_of(entry)
        match = [f for f in found[entry["node"]] if f.id == record["ids"][key]]
        if not match:
            raise Gone(f"container {entry['name']} on {entry['node']} is gone: run sparkctl up")
        there[key] = match[0]
    return there


def stale(record: Record, there: dict[str, Found]) -> list[Record]:
    """What must start, in order: what does not run, what starts together with it, and what stands on it."""
    ended = {entry["group"] for entry in record["containers"] if there[key_of(entry)].status != "running"}
    starting: list[Record] = []
    for entry in record["containers"]:
        under = {f"{service}@{node}" for service, node in entry["stands_on"]}
        if entry["group"] in ended or under & {key_of(other) for other in starting}:
            starting.append(entry)
    return starting


def bring_up(record: Record, keep: Callable[[Record], None]) -> None:
    """Start what does not run, each after what it waits for, until a token comes. Raises Failure.

    `keep` gets the record with the new lives once all is started, and with the new boots once all serves.
    """
    there = kept(record, look(record))
    starting = stale(record, there)
    for entry in reversed(starting):
        if there[key_of(entry)].status == "running":
            say(f"stopping {entry['name']}, whose ground is gone")
            run(record, entry["node"], ["docker", "stop", "-t", str(STOP_SECONDS), there[key_of(entry)].id])
    if starting:
        mend_secrets(record)
        await_memory(record)
    for entry in starting:
        await_joined(record, entry)
        for node in entry["drop_caches"]:
            drop = ["sh", "-c", "sync; echo 3 > /proc/sys/vm/drop_caches"]
            run(record, node, [*(["sudo", "-n"] if record["nodes"][node] else []), *drop])
        say(f"starting {entry['name']} on {entry['node']}")
        run(record, entry["node"], ["docker", "start", there[key_of(entry)].id])
    started = {**record, "lives": lives(record)}
    keep(started)
    await_token(record)
    keep({**started, "boots": boots(record)})


def lives(record: Record) -> Record:
    """Which life of each container stands on which others. Raises Failure."""
    there = kept(record, look(record))
    return {
        there[key_of(e)].life: [there[f"{service}@{node}"].life for service, node in e["stands_on"]]
        for e in record["containers"]
    }


def boots(record: Record) -> Record:
    """Which boot of each node this is. Raises Failure."""
    return {node: run(record, node, ["sh", "-c", BOOT]).strip() for node in record["nodes"]}


def refuse_after_trip(record: Record) -> None:
    """A watchdog that stopped a container which was not started since had reason to. Raises Failure."""
    there = kept(record, look(record))
    for entry in record["containers"]:
        since = there[key_of(entry)].started[:19]
        for trip in trips(record, entry["node"]):
            if entry["service"] in trip["services"] and trip["at"][:19] >= since:
                raise Failure(f"the memory watchdog of {entry['node']} had stopped it: {trip['reason']}")


def trips(record: Record, node: str) -> list[Record]:
    """What the memory watchdog of a node has on record (node/watchdog.py). Raises Failure."""
    text = run(record, node, ["sh", "-c", f"cat {shlex.quote(str(HOME / 'trips.json'))} 2>/dev/null || :"])
    try:
        return list(json.loads(text)["trips"])
    except (ValueError, KeyError, TypeError):
        return []


def await_memory(record: Record) -> None:
    """Return once every node has the memory that the stack takes: too little freezes a Spark. Raises Failure."""
    deadline = time.monotonic() + MEMORY_SECONDS
    for node, wanted in record["memory"].items():
        while (free := available(record, node)) < wanted:
            if time.monotonic() > deadline:
                raise Failure(f"{node} has {free >> 20} MiB of memory available, the stack takes {wanted >> 20} MiB")
            time.sleep(1)


def available(record: Record, node: str) -> int:
    """MemAvailable in bytes. Raises Failure."""
    words = run(record, node, ["grep", "MemAvailable", "/proc/meminfo"]).split()
    return int(words[1]) << 10


def await_joined(record: Record, entry: Record) -> None:
    """Return once all nodes have joined what the container is to find. Raises Failure."""
    gate = entry.get("joined")
    deadline = time.monotonic() + (gate["seconds"] if gate else 0)
    while gate:
        with suppress(Failure, ValueError, IndexError):
            rows = json.loads(run(record, entry["node"], gate["argv"]).splitlines()[-1])
            if set(gate["addresses"]) <= {address for address, gpus in rows if gpus >= 1}:
                return
        if time.monotonic() > deadline:
            raise Failure(f"not all nodes joined within {gate['seconds']:.0f} s")
        time.sleep(0.5)


def await_token(record: Record) -> None:
    """Return once a token comes through; raises Failure where a container ends before, or time is over."""
    deadline = time.monotonic() + record["api"]["seconds"]
    while not answers(record):
        for key, found in kept(record, look(record)).items():
            if found.status != "running":
                raise Failure(f"{key} ended with status {found.code} while loading")
        if time.monotonic() > deadline:
            raise Failure(f"no token within {record['api']['seconds']:.0f} s")
        time.sleep(0.5)


def answers(record: Record) -> bool:
    """Whether a client would get a token now, by the very look that sparkctl takes on the node of the API."""
    try:
        said = run(record, record["api"]["node"], ["bash", "-c", record["api"]["look"]])
    except Failure:
        return False
    chunks = [line for line in said.splitlines() if line.startswith("data: {")]
    return any('"choices"' in line for line in chunks) and not any('"error"' in line for line in chunks)


def save_secrets(record: Record) -> None:
    """A copy that only root reads of every secret that the stack needs. Raises Failure."""
    for node, path in record["secrets"]:
        (HOME / "secrets").mkdir(mode=0o700, exist_ok=True)
        put(HOME / "secrets" / node / Path(path).name, run(record, node, ["cat", path]))


def mend_secrets(record: Record) -> None:
    """Put back what a power cut tore: a container would start with an empty secret. Raises Failure."""
    for node, path in record["secrets"]:
        as_user = [] if record["nodes"][node] else ["runuser", "-u", record["users"][node], "--"]
        safe, quoted = HOME / "secrets" / node / Path(path).name, shlex.quote(path)
        folder = shlex.quote(str(Path(path).parent))
        script = f"umask 077; [ -s {quoted} ] || {{ mkdir -p {folder} && cat >{quoted}; }}"
        run(record, node, [*as_user, "sh", "-c", script], stdin=safe.read_text() if safe.exists() else "")
