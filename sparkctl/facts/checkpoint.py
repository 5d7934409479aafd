"""What is known of a model before it is loaded: its config.json and its files, from a cache or from the hub."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from sparkctl.errors import ConfigError
from sparkctl.facts.lines import number, pairs, values
from sparkctl.facts.model import folder_name
from sparkctl.facts.probe import Answer, Probe
from sparkctl.memory.checkpoint import Checkpoint, weight_files
from sparkctl.memory.config_json import read_shape, total_size
from sparkctl.memory.reader import is_foreign

HUB_SECONDS = 4
"""How long a node waits for the hub; our choice: a plan goes on without it."""

CACHE, HUB, FOLDER = "cache", "hub", "folder"
"""Where a model was looked at."""

# Mostly builtins: a process costs more than all that this asks for.
_SCRIPT = """\
shopt -s nullglob
found=$revision
[ ! -f "$folder/refs/$revision" ] || read -r found <"$folder/refs/$revision"
if cd "$folder/snapshots/$found"; then
  cut=(../../blobs/*.incomplete)
  if [ -f config.json ] || [ ! "${cut[*]}" ]; then
    echo source=cache
    IFS= read -rN 1000000 config <config.json
    printf 'config=%s\\n' "${config//[$'\\r\\n']/ }"
    IFS= read -rN 10000000 index <model.safetensors.index.json
    total='"total_size": *[0-9.e+]+'
    [[ ! $index =~ $total ]] || echo "index=${BASH_REMATCH[0]}"
    [ "${cut[*]}" ] || find -L . -type f -printf 'file=%s %P\\n'
    exit 0
  fi
fi
[ "$endpoint" ] || exit 0
key() { [ ! -s "$token" ] || printf 'header = "Authorization: Bearer %s"\\n' "$(<"$token")"; }
ask() { key | curl -qsLK - -m "$limit" "$@"; }
{ printf 'listing='; ask "$endpoint/api/models/$repo/revision/$quoted?blobs=true" | tr -d '\\r\\n'; echo; } &
config=$(ask -w '\\n%{http_code}' "$endpoint/$repo/resolve/$quoted/config.json")
wait
echo source=hub
printf 'config=%s\\n' "$(sed '$d' <<<"$config" | tr -d '\\r\\n')"
echo "config-status=${config##*$'\\n'}"
"""


@dataclass(frozen=True)
class CheckpointFact:
    """A model as a node sees it. `source` is CACHE, HUB or FOLDER, empty where it was not found.

    `config` is the text of its config.json; `sizes` are its files in bytes by name, `total` what its index states;
    `status` is the hub's for config.json: 200, 401, 404, 0 for no answer.
    """

    source: str = ""
    config: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    total: int = 0
    status: int = 200

    @property
    def known(self) -> bool:
        """Whether it can be judged: there is a config.json, or for certain none among the files that there are."""
        return bool(self.source) and (self.status == 200 or (self.status == 404 and bool(self.sizes)))

    @property
    def text(self) -> str:
        """The text of config.json; empty where there is none, whatever the hub says of that."""
        return "" if self.status == 404 else self.config

    def checkpoint(self, name: str, allow: Sequence[str] = (), quantization: str = "") -> Checkpoint:
        """The model; `allow` are globs of the files that are downloaded. Raises ConfigError."""
        where = f"config.json of {name} ({self.source})"
        size = weight_files(self.sizes, allow, quantization) or self.total
        return Checkpoint(name, read_shape(self.text, where), size)

    def best(self, name: str, allow: Sequence[str], quantization: str, stated: int) -> Checkpoint | None:
        """The model as it is read, else by its weights of `stated` bytes (0: unknown); None where nobody knows.

        Raises ConfigError for a config.json of nonsense, and of a foreign family where no weights are stated.
        """
        by_weights = Checkpoint.unknown(name, stated) if stated else None
        if not self.known or (by_weights and not self.text):
            return by_weights
        try:
            return self.checkpoint(name, allow, quantization)
        except ConfigError as error:
            if by_weights and is_foreign(error.problems):
                return by_weights
            raise


def checkpoint_probe(
    hf_cache: str, repo: str, revision: str, endpoint: str = "", token_path: str = ""
) -> Probe[CheckpointFact]:
    """Look into the cache folder of a node, else ask the hub from there; without `endpoint` the cache alone.

    The token reaches curl through a pipe, and no other host that the hub may redirect to.
    """
    given = {
        "folder": f"{hf_cache}/hub/{folder_name(repo)}",
        "repo": repo,
        "revision": revision,
        "quoted": quote(revision, safe=""),
        "endpoint": endpoint.rstrip("/"),
        "token": token_path,
        "limit": str(HUB_SECONDS),
    }
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in given.items())
    return Probe(f"checkpoint:{repo}@{revision}", f"{words}\n{_SCRIPT}", _fact)


def listed(text: str) -> dict[str, int]:
    """The files of the hub's answer to /api/models with their sizes in bytes; none where it is no such answer."""
    try:
        siblings = json.loads(text)["siblings"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    rows = [row for row in siblings if isinstance(row, dict)] if isinstance(siblings, list) else []
    return {name: size for row in rows if (name := _text(row, "rfilename")) and (size := _size(row.get("size")))}


def _fact(answer: Answer) -> CheckpointFact:
    found, all_of_them = pairs(answer.stdout), values(answer.stdout)
    sizes = listed("".join(all_of_them.get("listing", ())))
    for line in all_of_them.get("file", ()):
        size, _, name = line.partition(" ")
        sizes[name] = number(size) or 0
    total = total_size(f'{{"metadata": {{{found.get("index", "")}}}}}')
    status = number(found.get("config-status", "200")) or 0
    return CheckpointFact(found.get("source", ""), found.get("config", ""), sizes, total, status)


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def _size(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
