"""Why each check is there: what `sparkctl doctor` says of a finding beyond what was found."""

from collections.abc import Mapping, Sequence
from typing import Any

from sparkctl.core.plan import Item
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Ok, Pending
from sparkctl.report.look import Glyphs
from sparkctl.report.page import Line
from sparkctl.report.status import next_step

WHY: Mapping[str, str] = {
    "host": "The engine takes most of a Spark's one memory. Another program on the GPU, a driver that differs between"
    " nodes or a full disk shows up as a hang or a crash an hour later; here it shows up first.",
    "docker": "Engines run in containers, and the login must reach Docker without sudo.",
    "state": "Keys, secrets and records of what sparkctl made lie in one folder that only its owner reads.",
    "packages": "Tools that the steps below use on the node.",
    "guard": "A Spark that runs out of memory freezes, until somebody cuts its power. This program stops the engine"
    " before that (docs/memory-guard.md).",
    "guard-trip": "What the watchdog stopped stays so until it is started again: it would run into the same wall.",
    "earlyoom": "The second line behind the watchdog: it ends the largest process, whoever started it.",
    "swap": "A Spark that swaps thrashes for hours before it says that its memory is full.",
    "ports": "A server that finds its port taken ends minutes after it was started.",
    "fabric": "Ranks exchange tensors over this interface for every token. A link that came up at a fraction of its"
    " speed, or traffic that leaves by another interface, makes serving many times slower.",
    "ssh-key": "The head carries image and model to the workers over the fabric with a key of its own.",
    "ssh-trust": "The worker lets the head in by that key, from the head's fabric address only.",
    "secret-api-key": "Clients of the model must show this key; without it the API would be open to the network.",
    "secret-ray-token": "Ray listens on every address of a node and runs what it is told: it answers holders of this"
    " token alone, from Ray 2.52 on.",
    "secret-hf-token": "Gated models are downloaded with it.",
    "cache": "Docker would make a missing folder as root, and the download could not write there.",
    "nfs-export": "The head lends its model cache to the workers' fabric addresses.",
    "nfs-mount": "The worker reads the head's model cache; a stale mount hangs every program that touches it.",
    "nfs-readback": "A token that the head wrote is read through the mount: the proof that it is the right folder.",
    "image": "All nodes must run the very same bytes: ranks of different versions fail in ways that name no cause.",
    "image-check": "Newer images come without Ray; found out before anything is started.",
    "model": "The files of one pinned revision, whole.",
    "copy": "The worker's copy is the head's, byte for byte.",
    "memory": "A Spark whose memory is full kills nothing: it freezes, SSH included, until its power is cut. So what"
    " a model takes is counted before it is started.",
    "keeper": "It brings the stack back after a power cycle, and takes a change back that was cut short"
    " (docs/survival.md).",
    "intent": "What is to be changed is on record before anything stops, so that it can be taken back.",
    "generation": "What serves is on record: it comes back at a boot, and sparkctl rollback can go back to it.",
    "leftovers": "Containers of the other backend, or of an earlier profile, would hold memory, GPU and ports.",
    "ray-head": "The head of the Ray cluster.",
    "ray-worker": "A worker of the Ray cluster.",
    "ray-join": "Ray starts without a worker and says nothing; vLLM then waits for a GPU that never comes.",
    "vllm": "The API server.",
    "sglang": "The API server, behind a door that asks for the key.",
    "trtllm": "The API server, behind a door that asks for the key; it launches the ranks of other nodes by MPI.",
    "ollama": "The API server, on the loopback of its node.",
    "ollama-store": "Ollama keeps its models in a folder of its own, which it writes as root.",
    "ollama-model": "Ollama loads a model at its first request, and with a context of its own choice, unless told.",
    "secret-mpi-ssh-key": "The head reaches the ranks of an MPI job with a key of this cluster, not with the user's.",
    "serving": "An engine can report health and fail its first request; only a token proves it.",
}
"""One explanation for each step name."""


def show_examination(items: Sequence[Item], errors: Mapping[str, str], glyphs: Glyphs, *, verbose: bool) -> list[Line]:
    """Every check of every node: what was found, and for what is not fine why it matters and what mends it."""
    nodes = dict.fromkeys((*(item.step.node for item in items), *errors))
    mend = next_step(items, errors)
    width = max((len(item.step.name) for item in items), default=0) + 2
    lines: list[Line] = []
    for node in nodes:
        lines += [Line(""), Line(node, "bold")]
        if node in errors:
            lines.append(
                Line(errors[node], heads=((f"  {glyphs.blocked} ", "red"), ("unreachable".ljust(width), "bold")))
            )
        for item in items:
            if item.step.node == node:
                lines += _lines(item, glyphs, width, mend, verbose=verbose)
    return lines


def examination_data(items: Sequence[Item], errors: Mapping[str, str]) -> dict[str, Any]:
    """For --json."""
    mend = next_step(items, errors)
    findings = [
        {"step": item.id, "node": item.step.node, "ok": isinstance(item.finding, Ok), "found": _found(item.finding)}
        | {"why": WHY.get(item.step.name, ""), "fix": _fix(item.finding, mend)}
        for item in items
    ]
    return {"findings": findings, "unreachable": dict(errors)}


def _lines(item: Item, glyphs: Glyphs, width: int, mend: str, *, verbose: bool) -> list[Line]:
    fine = isinstance(item.finding, Ok)
    mark, style = (glyphs.ok, "green") if fine else (glyphs.blocked, "red")
    if isinstance(item.finding, Pending):
        mark, style = glyphs.later, "cyan"
    lines = [Line(_found(item.finding), heads=((f"  {mark} ", style), (item.step.name.ljust(width), "")))]
    why = WHY.get(item.step.name, "") if verbose or not fine else ""
    more = [("why", why), ("fix", _fix(item.finding, mend))]
    lines += [Line(text, "dim", heads=((" " * (width + 4) + f"{head}: ", "dim"),)) for head, text in more if text]
    return lines


def _found(finding: Finding) -> str:
    match finding:
        case Ok(note):
            return note or "fine"
        case Absent(actions, note):
            return f"{note or 'missing'}: sparkctl up would " + "; ".join(action.summary for action in actions)
        case Drifted(differences):
            return "; ".join(differences)
        case Pending(on, note):
            return f"{note}; first see to {on}" if note else f"cannot be known before {on}"
        case Blocked(problem):
            return problem


def _fix(finding: Finding, mend: str) -> str:
    """Its own fix, or `mend`, which is `sparkctl up` or what has to be done before that works."""
    if isinstance(finding, Blocked):
        return finding.fix
    return mend if isinstance(finding, Absent | Drifted) else ""
