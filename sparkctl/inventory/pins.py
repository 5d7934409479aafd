"""What is to be pinned: the commits and digests that a deployment stands on now, or that hub and registry have."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkctl.config.lock import COMMIT, DIGEST, Lock
from sparkctl.facts.hub_cache import hub_cache_probe
from sparkctl.facts.images import IMAGES, full, images_on
from sparkctl.facts.model import model_probe
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.facts.upstream import HubHead, hub_head_probe, tag_probe
from sparkctl.stacks.goods import HF_TOKEN, PUBLIC_HUB, Goods, caches
from sparkctl.steps.secret import secret_path

if TYPE_CHECKING:
    from sparkctl.config.load import Config

MODEL, IMAGE = "model", "image"


@dataclass(frozen=True)
class Pin:
    """One model's revision, or one image's tag. `revision` is empty for an image.

    `here` is what the head has, `upstream` what hub or registry has now (empty: not known), `locked` what the lock
    says so far; `error` is why upstream is not known.
    """

    kind: str
    name: str
    revision: str
    here: str
    upstream: str
    locked: str
    error: str = ""

    @property
    def moved(self) -> bool:
        """Whether it leads elsewhere by now than it is pinned to."""
        return bool(self.locked and self.upstream and self.upstream != self.locked)

    def wanted(self, *, update: bool) -> str:
        """What is to be in the lock; empty where nothing is known.

        What is pinned stays unless it is to be updated. What is not pinned yet is pinned to what runs, else to what
        would be fetched.
        """
        if update:
            return self.upstream or self.locked or self.here
        return self.locked or self.here or self.upstream


def wants(config: "Config") -> list[Want]:
    """What the head must be asked. `config` is without the lock: branches and tags as the profile names them."""
    head, found = config.cluster.head, [Want(config.cluster.head.name, IMAGES)]
    cache = caches(config)[head.name]
    found.append(Want(head.name, hub_cache_probe(cache)))
    for model, revision in _models(config):
        found.append(Want(head.name, model_probe(config.cluster, head, cache, model, revision)))
        found.append(Want(head.name, _hub_probe(config, model, revision)))
    found += [Want(head.name, tag_probe(image)) for image in _images(config)]
    return found


def take(config: "Config", lock: Lock, facts: Facts) -> tuple[Pin, ...]:
    """Models first, then images; what is a commit or a digest already is none of them."""
    return (*_model_pins(config, lock, facts), *_image_pins(config, lock, facts))


def apply(lock: Lock, pins: tuple[Pin, ...], *, update: bool) -> Lock:
    """The lock with all that is known."""
    for pin in pins:
        if not (value := pin.wanted(update=update)):
            continue
        if pin.kind == MODEL:
            lock = lock.with_model(pin.name, pin.revision, value)
        else:
            lock = lock.with_image(pin.name, value)
    return lock


def _model_pins(config: "Config", lock: Lock, facts: Facts) -> Iterator[Pin]:
    head = config.cluster.head
    cache = caches(config)[head.name]
    cached = facts.get(head.name, hub_cache_probe(cache)).models
    for model, revision in _models(config):
        whole = facts.get(head.name, model_probe(config.cluster, head, cache, model, revision))
        there = cached[model].commit(revision) if model in cached else ""
        upstream = facts.get(head.name, _hub_probe(config, model, revision))
        here = whole.commit if whole else there
        yield Pin(MODEL, model, revision, here, upstream.commit, lock.commit(model, revision), upstream.error)


def _image_pins(config: "Config", lock: Lock, facts: Facts) -> Iterator[Pin]:
    head = config.cluster.head.name
    for reference in _images(config):
        image = next((image for image in images_on(facts, head) if image.is_called(reference)), None)
        found = facts.get(head, tag_probe(reference))
        upstream = found if DIGEST.fullmatch(found) else ""
        error = "" if upstream else "the registry did not say, or wants a login"
        here = image.digest_at(reference) if image else ""
        yield Pin(IMAGE, reference, "", here, upstream, lock.images.get(reference, ""), error)


def _hub_probe(config: "Config", model: str, revision: str) -> Probe[HubHead]:
    endpoint = config.settings.hf_endpoint or PUBLIC_HUB
    token = secret_path(config.cluster, config.cluster.head, HF_TOKEN)
    return hub_head_probe(endpoint, model, revision, token)


def _models(config: "Config") -> list[tuple[str, str]]:
    return [(model, revision) for model, revision in Goods(config).models if not COMMIT.fullmatch(revision)]


def _images(config: "Config") -> list[str]:
    return [image for image in dict.fromkeys(one.image.ref for one in config.served) if "@" not in full(image)]
