"""Probes: questions to a node that change nothing, and the answers.

All probes of one node travel as one framed script in one round trip (design.md, section 4).
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")

PRELUDE = """\
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
as_root() { if [ "$EUID" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
engine() { curl -qsfm 15 --noproxy '*' --unix-socket /var/run/docker.sock "http://engine$1"; }
"""


@dataclass(frozen=True)
class Answer:
    """What one probe printed, and the status that it ended with."""

    stdout: str
    rc: int = 0


@dataclass(frozen=True)
class Probe(Generic[T]):
    """One question to a node.

    `script` is bash, changes nothing and may call `as_root` and `engine`, which gets a path of Docker's API: half the
    cost of the docker command, and no answer where curl or the right to ask is missing. `parse` is total: no answer
    makes it raise.
    Two probes with one name are the same probe.
    """

    name: str
    script: str = field(repr=False)
    parse: Callable[[Answer], T] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Want:
    """A probe and the node that it is put to.

    A `vital` one must be answered before the step can be checked; without the others it can, by less.
    """

    node: str
    probe: Probe[Any]
    vital: bool = True


class Facts:
    """The answers of all nodes, read through the probe that asked."""

    def __init__(self, answers: Mapping[str, Mapping[str, Answer]]) -> None:
        self._answers = answers

    def get(self, node: str, probe: Probe[T]) -> T:
        """The parsed answer; a probe that was not put parses an empty answer with status 127."""
        return probe.parse(self._answers.get(node, {}).get(probe.name, Answer("", 127)))

    def merged(self, other: "Facts") -> "Facts":
        """These facts with those of `other` laid over them."""
        nodes = {*self._answers, *other._answers}
        return Facts({n: {**self._answers.get(n, {}), **other._answers.get(n, {})} for n in nodes})


def frame(probes: Iterable[Probe[Any]], nonce: str) -> str:
    """One script that puts every probe in a subshell and marks where each answer starts and ends."""
    parts = [PRELUDE]
    for name, script in {p.name: p.script for p in probes}.items():
        parts.append(f"echo '{nonce} begin {name}'\n(\n{script}\n) </dev/null 2>/dev/null\n")
        parts.append(f'printf "\\n%s\\n" "{nonce} end $?"\n')
    return "".join(parts)


def unframe(text: str, nonce: str) -> dict[str, Answer]:
    """The answers in the output of a framed script; an answer that was cut short is left out."""
    answers = {}
    for block in text.split(f"{nonce} begin ")[1:]:
        name, _, rest = block.partition("\n")
        body, mark, status = rest.rpartition(f"\n{nonce} end ")
        if mark:
            answers[name] = Answer(body, int(status.split()[0]))
    return answers


def new_nonce() -> str:
    """A mark that no probe's output holds."""
    return f"@{secrets.token_hex(8)}"
