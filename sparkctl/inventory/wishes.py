"""Which models and images the profiles that this laptop knows ask for."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparkctl.config import profiles
from sparkctl.errors import ConfigError

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.config.lock import Lock
    from sparkctl.config.profile import Profile


@dataclass(frozen=True)
class Wish:
    """One model that a profile serves, with the image that serves it."""

    profile: str
    model: str
    revision: str
    image: str


@dataclass(frozen=True)
class Wishes:
    """All of them; `unread` are profiles that cannot be read, whose wishes are unknown."""

    all: tuple[Wish, ...]
    unread: tuple[str, ...] = ()

    def of_model(self, model: str) -> tuple[str, ...]:
        """The profiles that serve a model, each once."""
        return tuple(dict.fromkeys(wish.profile for wish in self.all if wish.model == model))

    @property
    def revisions(self) -> frozenset[tuple[str, str]]:
        """Every (model, revision) that a profile serves."""
        return frozenset((wish.model, wish.revision) for wish in self.all)


def known(config: "Config", lock: "Lock", cwd: Path) -> Wishes:
    """The deployment of `config`, then every profile in reach of `cwd`: each as it is written, and as it is pinned."""
    found = [Wish(config.profile.name, s.model.id, s.model.revision, s.image.ref) for s in config.served]
    unread = []
    for name in profiles.names(cwd):
        try:
            profile, _ = profiles.read(name, cwd)
        except ConfigError:
            unread.append(name)
            continue
        found += [*_wishes(profile), *_wishes(lock.applied(profile))]
    return Wishes(tuple(dict.fromkeys(found)), tuple(unread))


def _wishes(profile: "Profile") -> Iterator[Wish]:
    if profile.model and profile.image:
        yield Wish(profile.name, profile.model.id, profile.model.revision, profile.image.ref)
    for placed in profile.models.values():
        if image := placed.image or profile.image:
            yield Wish(profile.name, placed.model.id, placed.model.revision, image.ref)
