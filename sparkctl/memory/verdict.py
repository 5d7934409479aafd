"""Whether a model fits its nodes, what of it fits at most, and what is nearest that does."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

from sparkctl.errors import ConfigError, Problem
from sparkctl.memory.checkpoint import Checkpoint
from sparkctl.memory.demand import MOST_UTILIZATION, Demand, Wish, check_split, demand, sequence_bytes

MOST_NODES = 32
"""So many nodes are tried, when it is asked how many a model needs."""
LONGEST = 10_000_000
"""Tokens that are tried at most, for a model that names no length."""


@dataclass(frozen=True)
class Room:
    """The memory of one node, in bytes.

    `available` is MemAvailable before the model is loaded, `beside` what other models of the plan take of it, and
    `reserve` what must stay.
    """

    node: str
    total: int
    available: int
    reserve: int
    beside: int = 0

    def limit(self, wish: Wish) -> int:
        """What an engine may take of it, by its share."""
        return int(self.total * wish.utilization)

    def space(self, wish: Wish) -> int:
        """What a model may take of it, the reserve left whole; negative where that is not left even without it."""
        spare = self.available - self.beside - self.reserve
        limit = self.limit(wish)
        return min(limit, spare) if not wish.fills else limit if limit <= spare else -1


@dataclass(frozen=True)
class NodeVerdict:
    """One node: what is asked of it, and what it has."""

    room: Room
    demand: Demand
    wish: Wish

    @property
    def limit(self) -> int:
        """Bytes that the engine may take, weights, cache and overhead among them."""
        return self.room.limit(self.wish)

    @property
    def takes(self) -> int:
        """Bytes that it does take."""
        return self.limit if self.wish.fills else self.demand.total

    @property
    def left(self) -> int:
        """Bytes that stay available."""
        return self.room.available - self.room.beside - self.takes

    @property
    def over(self) -> int:
        """Bytes by which the model is larger than the engine's share; 0 where it fits into that."""
        return max(0, self.demand.total - self.limit)

    @property
    def short(self) -> int:
        """Bytes that the reserve lacks; 0 where it stays whole."""
        return max(0, self.room.reserve - self.left)

    @property
    def fits(self) -> bool:
        """Whether both hold."""
        return not (self.over or self.short)


@dataclass(frozen=True)
class Nearest:
    """A change that makes it fit: `change` in words, `wish` with it, on so many nodes."""

    change: str
    wish: Wish
    nodes: int


@dataclass(frozen=True)
class Verdict:
    """A model as it is wished, on its nodes; what is costly to know is counted when it is asked for."""

    checkpoint: Checkpoint
    wish: Wish
    nodes: tuple[NodeVerdict, ...]

    @property
    def fits(self) -> bool:
        """Whether it fits every node."""
        return all(node.fits for node in self.nodes)

    @property
    def rooms(self) -> tuple[Room, ...]:
        """The nodes' memory."""
        return tuple(node.room for node in self.nodes)

    @cached_property
    def longest(self) -> int:
        """The largest max_model_len that fits, with as many requests as wished; 0 where none does."""
        return longest(self.checkpoint, self.wish, self.rooms)

    @cached_property
    def most(self) -> int:
        """How many requests of the wished length fit at once; 0 where not one does."""
        return most(self.checkpoint, self.wish, self.rooms)

    @cached_property
    def nodes_needed(self) -> int:
        """The fewest nodes like these on which it fits as wished; 0 where MOST_NODES are not enough."""
        return next((n for n in range(1, MOST_NODES + 1) if _on(self.checkpoint, self.wish, self.rooms, n)), 0)

    @cached_property
    def nearest(self) -> tuple[Nearest, ...]:
        """What fits instead, each by one change where one suffices."""
        return () if self.fits else tuple(_nearest(self))


def judge(checkpoint: Checkpoint, wish: Wish, rooms: tuple[Room, ...]) -> Verdict:
    """Whether the model fits those nodes, each of which holds one rank.

    Raises ConfigError where the heads cannot be split as wished, or the share is beyond MOST_UTILIZATION.
    """
    if not 0 < wish.utilization <= MOST_UTILIZATION:
        accepted = f"more than 0 and at most {MOST_UTILIZATION:.2f}, which no --force exceeds: a Spark freezes"
        raise ConfigError(
            (Problem("--util", "utilization", f"{wish.utilization:g}", accepted),),
            place="in how much is to be taken",
            fix="0.80 leaves room for what else runs",
        )
    check_split(checkpoint, wish.tensor_parallel)
    each = demand(checkpoint, wish)
    return Verdict(checkpoint, wish, tuple(NodeVerdict(room, each, wish) for room in rooms))


def longest(checkpoint: Checkpoint, wish: Wish, rooms: tuple[Room, ...]) -> int:
    """Found by halving: what a request takes grows with its length."""
    space = _space(checkpoint, wish, rooms) // wish.concurrency
    low, high = 0, checkpoint.shape.max_len or LONGEST
    while low < high:
        middle = (low + high + 1) // 2
        if sequence_bytes(checkpoint, wish, middle) <= space:
            low = middle
        else:
            high = middle - 1
    return low


def most(checkpoint: Checkpoint, wish: Wish, rooms: tuple[Room, ...]) -> int:
    """Requests of the wished length that the cache holds at once."""
    one = sequence_bytes(checkpoint, wish, wish.max_model_len)
    space = _space(checkpoint, wish, rooms)
    return max(0, space // one) if one else wish.concurrency * (space >= 0)


def _space(checkpoint: Checkpoint, wish: Wish, rooms: tuple[Room, ...]) -> int:
    """Bytes for the cache on the node that has least; negative where there are none."""
    empty = demand(checkpoint, replace(wish, concurrency=0)).total
    return min(room.space(wish) for room in rooms) - empty


def _nearest(verdict: Verdict) -> list[Nearest]:
    """By one change each, as far as one is enough: length, requests, type of the cache, share, nodes."""
    checkpoint, wish, count = verdict.checkpoint, verdict.wish, len(verdict.nodes)
    changes = [
        (f"max_model_len {verdict.longest}", replace(wish, max_model_len=verdict.longest)),
        (f"concurrency {verdict.most}", replace(wish, concurrency=verdict.most)),
        ("an fp8 cache (--kv-cache-dtype fp8)", replace(wish, kv_dtype="fp8")),
        *_shares(verdict),
    ]
    good = [w for w in changes if min(w[1].max_model_len, w[1].concurrency) > 0 and w[1] != wish]
    found = [Nearest(text, w, count) for text, w in good if judge(checkpoint, w, verdict.rooms).fits]
    if (needed := verdict.nodes_needed) > count:
        more = replace(wish, tensor_parallel=needed, pipeline_parallel=1)
        found.append(Nearest(f"{needed} nodes, with tensor parallelism over all", more, needed))
    return found


def _shares(verdict: Verdict) -> list[tuple[str, Wish]]:
    """The share nearest to the wished one that holds the model and leaves the reserve; else the length for it."""
    wish, rooms = verdict.wish, verdict.rooms
    least = max(math.ceil(n.demand.total / n.room.total * 100) / 100 for n in verdict.nodes)
    free = min(math.floor((r.available - r.beside - r.reserve) / r.total * 100) / 100 for r in rooms)
    allowed = min(MOST_UTILIZATION, free)
    if allowed <= 0 or (allowed < least and allowed == wish.utilization):
        return []
    share = min(max(wish.utilization, least), allowed)
    other = replace(wish, utilization=share)
    if share >= least:
        return [(f"gpu_memory_utilization {share:.2f}", other)]
    shorter = longest(verdict.checkpoint, other, rooms)
    return [
        (f"gpu_memory_utilization {share:.2f} with max_model_len {shorter}", replace(other, max_model_len=shorter))
    ]


def _on(checkpoint: Checkpoint, wish: Wish, rooms: tuple[Room, ...], count: int) -> bool:
    """Whether it fits so many nodes with tensor parallelism over all."""
    split = replace(wish, tensor_parallel=count, pipeline_parallel=1)
    try:
        return judge(checkpoint, split, rooms).fits
    except ConfigError:
        return False
