"""Every value of a configuration as it may be shown, with where it came from."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import SecretStr

from sparkctl.config import overrides
from sparkctl.config.fit import Fit
from sparkctl.config.lock import Lock
from sparkctl.config.origin import HIDDEN, Origin, Raw, Redactor
from sparkctl.config.settings import Settings


def origins_of(fit: Fit, values: Mapping[str, Raw], redact: Redactor, lock: Lock) -> Iterator[tuple[str, Origin]]:
    """Variables by name, then the profile's values by path, as the lock has pinned them."""
    settings, profile = fit.roster.settings, lock.applied(fit.profile)
    for field in Settings.model_fields:
        raw = values.get(field.upper())
        where = raw.where if raw and raw.text else "default"
        yield field.upper(), Origin(_shown(getattr(settings, field), redact), where)
    changed = {**dict(_overridden(fit, values)), **dict(lock.places_in(fit.profile))}
    for path, value in _leaves(profile.model_dump()):
        written = f"profile {profile.name}" if path in fit.document.places else "default"
        yield ".".join(path), Origin(_shown(value, redact), changed.get(path, written))


def _overridden(fit: Fit, values: Mapping[str, Raw]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Paths in the profile that a variable has changed, with where that variable is set."""
    for field, places in overrides.touched(fit.written, fit.roster.settings).items():
        for place in places:
            yield place, values[field.upper()].where


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    else:
        yield path, value


def _shown(value: Any, redact: Redactor) -> str:
    if isinstance(value, SecretStr):
        return HIDDEN if value.get_secret_value() else ""
    if isinstance(value, tuple):
        return redact(" ".join(map(str, value)))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None or value == {} else redact(str(value))
