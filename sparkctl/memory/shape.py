"""What a model is, as far as its memory goes: how many numbers its weights are, and what each token leaves."""

from dataclasses import dataclass

from sparkctl.memory.formats import Format


@dataclass(frozen=True)
class Cache:
    """So many layers that keep keys and values of a token: `width` numbers for each of `heads` KV heads.

    `window` is how many tokens such a layer looks back, 0 for all. MLA keeps one latent vector: one head.
    """

    layers: int
    heads: int
    width: int
    window: int = 0


@dataclass(frozen=True)
class Parameters:
    """How many numbers the weights are, by what formats do with them.

    `tables` are embedding and output head, `experts` those of all mixture layers, `rest` dense MLPs and routers,
    `vision` the tower that sees or hears, which stays in 16 bit.
    """

    tables: int
    attention: int
    experts: int
    rest: int
    vision: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.tables + self.attention + self.experts + self.rest + self.vision


@dataclass(frozen=True)
class Mixture:
    """The experts of a model: so many in all its layers, each between `hidden` and `inner` numbers; none: 0."""

    experts: int = 0
    hidden: int = 0
    inner: int = 0


@dataclass(frozen=True)
class Shape:
    """A model. `max_len` is the longest context in tokens that it was made for, 0 where its config.json names none."""

    kind: str
    layers: int
    heads: int
    kv_heads: int
    caches: tuple[Cache, ...]
    parameters: Parameters
    mixture: Mixture
    format: Format
    max_len: int = 0
