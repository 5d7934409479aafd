"""model pin: write down which commits and digests a deployment stands on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparkctl.cli.common import Options, load_config, open_sessions

if TYPE_CHECKING:
    from sparkctl.config.lock import Lock
    from sparkctl.inventory.pins import Pin


def pin(
    options: Options,
    update: Annotated[
        bool, typer.Option("--update", help="Move what is pinned to where branch and tag lead now.")
    ] = False,
) -> int:
    """Write the commit of each model and the digest of each image of the profile into sparkctl.lock.

    From then on plan and up use these. What the head has is pinned, else what hub and registry have.
    """
    from sparkctl.config import lock as locks
    from sparkctl.core.plan import gather
    from sparkctl.inventory import pins

    screen, config = options.screen("model-pin"), load_config(options, pinned=False)
    path = locks.place(Path.cwd(), options.env_file)
    locks.load(path)  # a bad one is told before any node is asked
    with options.waiting() as waiting, open_sessions(config, options, waiting.watch) as sessions:
        facts = gather(sessions, pins.wants(config), waiting.watch)
    lock = locks.load(path)  # another pin may have written it meanwhile
    found = pins.take(config, lock, facts)
    new = pins.apply(lock, found, update=update)
    if new != lock:
        locks.save(new)
    screen.put(cluster=config.cluster.name, path=str(new.path), pins=[_pin_data(pin, new) for pin in found])
    for pin in found:
        screen.tell(_pin_line(pin, new))
    if new == lock:
        screen.tell(f"unchanged: {new.path}")
    else:
        screen.tell(f"wrote {new.path}")
        screen.tell("an engine that runs without these is started anew by the next sparkctl up, which asks before")
    screen.finish()
    return 0


def _pin_data(pin: "Pin", new: "Lock") -> dict[str, Any]:
    return {
        "kind": pin.kind,
        "name": pin.name,
        "revision": pin.revision,
        "pinned": _value(pin, new),
        "before": pin.locked,
        "here": pin.here,
        "upstream": pin.upstream,
        "note": _note(pin, new),
    }


def _pin_line(pin: "Pin", new: "Lock") -> str:
    value, note = _value(pin, new), _note(pin, new)
    at = f" at {pin.revision}" if pin.revision else ""
    return f"{pin.name}{at}: {value or 'not pinned'}" + (f" ({note})" if note else "")


def _note(pin: "Pin", new: "Lock") -> str:
    value = _value(pin, new)
    if not value:
        return f"unknown: the head has it not, and {pin.error or 'nobody else says'}"
    if pin.locked and value != pin.locked:
        return f"was {pin.locked}"
    if pin.upstream and pin.upstream != value:
        return f"by now it is {pin.upstream}; sparkctl model pin --update moves the pin"
    return pin.error


def _value(pin: "Pin", new: "Lock") -> str:
    return new.commit(pin.name, pin.revision) if pin.revision else new.images.get(pin.name, "")
