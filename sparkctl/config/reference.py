"""The generated parts of docs/configuration.md and docs/profiles.md, made from the models.

`python -m sparkctl.config.reference docs` writes them anew; a test compares them.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from sparkctl.config import agent_overrides, overrides
from sparkctl.config.inert import INERT
from sparkctl.config.profile import Profile, part_of
from sparkctl.config.settings import Settings

BEGIN, END = "<!-- generated: {} -->", "<!-- end of {} -->"


def parts() -> dict[str, dict[str, str]]:
    """Page to its generated parts by name."""
    return {
        "configuration.md": {
            "where": "\n".join(_settings("where")),
            "what": "\n".join(_settings("what")),
            "inert": "\n".join(_inert()),
        },
        "profiles.md": {"keys": "\n".join(_keys(Profile, ""))},
    }


def filled(page: str, generated: dict[str, str]) -> str:
    """A page with each of its generated parts replaced. Raises ValueError for a page without the marks."""
    for name, text in generated.items():
        begin, end = BEGIN.format(name), END.format(name)
        before, _, rest = page.partition(begin)
        _, mark, after = rest.partition(end)
        if not mark:
            raise ValueError(f"the page lacks {begin} or {end}")
        page = f"{before}{begin}\n\n{text}\n\n{end}{after}"
    return page


def write(folder: Path) -> None:
    """Bring the pages in that folder up to date. Raises OSError."""
    for name, generated in parts().items():
        path = folder / name
        path.write_text(filled(path.read_text(encoding="utf-8"), generated), encoding="utf-8")


def _settings(group: str) -> Iterator[str]:
    what, places = group == "what", {**overrides.PLACES, **agent_overrides.PLACES}
    yield "| Variable | Meaning | Accepted | " + ("Overrides |" if what else "Default |")
    yield "|---|---|---|---|"
    for name, field in Settings.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra["group"] == group:
            meaning = f"{field.description} ({extra['unit']})" if extra["unit"] else field.description
            last = f"`{'.'.join(places[name])}`" if what else _default(field.default)
            yield f"| `{name.upper()}` | {meaning} | {extra['accepts']} | {last} |"


def _inert() -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for name, reason in INERT.items():
        reasons.setdefault(reason, []).append(name)
    yield "| Variables | Why setting them changes nothing |"
    yield "|---|---|"
    for reason, names in reasons.items():
        yield f"| {', '.join(f'`{name}`' for name in names)} | {reason} |"


def _keys(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """Rows of a table; the keys of a mapping follow it."""
    if not prefix:
        yield "| Key | Meaning | Default |"
        yield "|---|---|---|"
    for name, field in model.model_fields.items():
        found = part_of(field.annotation)
        if found:
            inner, named = found
            text = field.description or (inner.__doc__ or "").splitlines()[0]
            yield f"| **`{prefix}{name}`** | {text} | |"
            yield from _keys(inner, f"{prefix}{name}.{'NAME.' * named}")
        else:
            yield f"| `{prefix}{name}` | {field.description} | {_default(_default_of(field))} |"


def _default_of(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True, validated_data={})


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, SecretStr) or value is None or value in ("", (), {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{' '.join(map(str, value))}`"
    return f"`{value:g}`" if isinstance(value, float | int) else f"`{value}`"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
