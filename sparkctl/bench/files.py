"""Results as files: one JSON document each, and the page made of it beside it."""

import json
import math
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from sparkctl.bench.results import FabricResult, Outcome, ServeResult
from sparkctl.errors import SparkctlError
from sparkctl.topology import Cluster

LARGEST = 16 << 20
"""Bytes; a result has some thousand."""
NAMED = "name a .json file that sparkctl bench fabric or sparkctl bench serve wrote"
PLACED = "name another place with --output"


def document(result: Outcome) -> dict[str, Any]:
    """The JSON document, with the figures that are worked out from others."""
    data = {"schema": result.schema, **asdict(result)}
    if isinstance(result, FabricResult):
        return {**data, "verdict": result.verdict}
    for shown, level in zip(data["levels"], result.levels, strict=True):
        shown["output_rate"] = level.output_rate
    return data


def save(result: Outcome, page: str, folder: Path) -> tuple[Path, Path]:
    """Write the document and its page; their paths. Raises SparkctlError where the folder cannot be written."""
    moment = re.sub(r"[-:]|\+.*", "", result.taken)
    base = folder / f"{kind(result)}-{result.cluster}-{moment}"
    paths = base.with_suffix(".json"), base.with_suffix(".html")
    write(paths[0], json.dumps(document(result), ensure_ascii=False, indent=2) + "\n")
    write(paths[1], page)
    return paths


def write(path: Path, text: str) -> None:
    """Write a file with its folder; what no encoding has becomes a question mark. Raises SparkctlError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise _unwritten(path, error) from error


def check_folder(folder: Path) -> None:
    """See that results can be kept there, before there are any to lose. Raises SparkctlError."""
    places = (folder.absolute(), *folder.absolute().parents)
    try:
        with TemporaryFile(dir=next(place for place in places if place.exists())):
            pass
    except OSError as error:
        raise _unwritten(folder, error) from error


def load(path: Path) -> Outcome:
    """Read a result. Raises SparkctlError for a file that is none, or of another version."""
    from pydantic import TypeAdapter, ValidationError

    try:
        data = json.loads(_text(path), parse_float=_figure, parse_int=_count, parse_constant=_figure)
    except OSError as error:
        raise SparkctlError(f"cannot read {path}: {error.strerror or error}", where=str(path), fix=NAMED) from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _no_result(path, "it is not JSON") from error
    except ValueError as error:
        raise _no_result(path, str(error)) from error
    schema = data.get("schema") if isinstance(data, dict) else None
    kinds = {FabricResult.schema: FabricResult, ServeResult.schema: ServeResult}
    if not isinstance(schema, str) or schema not in kinds:
        raise _no_result(path, f"its schema is {schema!r}" if schema else "it names no schema")
    try:
        found: Outcome = TypeAdapter(kinds[schema]).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _no_result(path, f"{place}: {first['msg']}") from error
    return found


def without_addresses(result: Outcome, cluster: Cluster) -> Outcome:
    """The result with every address of a node, in words of others too, replaced by the node's name."""
    named = {address: node.name for node in cluster.nodes for address in (node.address, node.fabric_ip) if address}
    named |= {cluster.api_ip: cluster.head.name} if cluster.api_ip else {}
    if isinstance(result, ServeResult):
        return replace(result, notes=tuple(_hidden(note, named) for note in result.notes))
    left = (
        replace(one, what=_hidden(one.what, named), why=_hidden(one.why, named), next=_hidden(one.next, named))
        for one in result.left_out
    )
    return replace(result, left_out=tuple(left))


def kind(result: Outcome) -> str:
    """`fabric` or `serve`."""
    return "fabric" if isinstance(result, FabricResult) else "serve"


def _text(path: Path) -> str:
    """Of a plain file of a sensible size: a pipe would be waited for, a device read for ever. Raises as `load`."""
    found = path.stat()
    if found.st_size > LARGEST:
        raise _no_result(path, f"it is larger than {LARGEST >> 20} MiB")
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise _no_result(path, "it is no plain file")
    return path.read_text(encoding="utf-8")


def _figure(text: str) -> float:
    """A number that can have been measured. Raises ValueError for NaN, the infinite and the negative."""
    if not 0 <= float(text) < math.inf:
        raise ValueError(f"{text[:20]} is no figure")
    return float(text)


def _count(text: str) -> int:
    _figure(text)
    return int(text)


def _hidden(text: str, named: Mapping[str, str]) -> str:
    for address in sorted(named, key=len, reverse=True):
        text = re.sub(rf"(?<![\w.]){re.escape(address)}(?![\w]|\.\w)", named[address], text)
    return text


def _unwritten(path: Path, error: OSError) -> SparkctlError:
    return SparkctlError(f"cannot write {path}: {error.strerror or error}", where=str(path), fix=PLACED)


def _no_result(path: Path, why: str) -> SparkctlError:
    return SparkctlError(f"{path} is no result of sparkctl bench: {why}", where=str(path), fix=NAMED)
