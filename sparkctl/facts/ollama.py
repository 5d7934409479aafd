"""What an Ollama on a node has: pulled, loaded, and with which context."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote

from sparkctl.data import node_program
from sparkctl.facts.probe import Answer, Probe


@dataclass(frozen=True)
class OllamaFact:
    """Sizes in bytes by name: `pulled` on the disk, `loaded` in memory. `context` in tokens, of the served model."""

    pulled: Mapping[str, int]
    loaded: Mapping[str, int]
    context: int | None = None


def ollama_probe(port: int, model: str) -> Probe[OllamaFact | None]:
    """Ask the Ollama at that port of the node's loopback, about one model beside all; None where none answers."""
    script = f"python3 - look {port} {quote(model)} <<'END'\n{node_program('ollama_client')}END"
    return Probe(f"ollama:{port}", script, _ollama)


def full_name(model: str) -> str:
    """As Ollama lists it: a name without a tag means the tag latest."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


def _ollama(answer: Answer) -> OllamaFact | None:
    try:
        found = json.loads(answer.stdout) if answer.rc == 0 else None
        if not found:
            return None
        context = re.search(r"^num_ctx\s+(\d{1,9})", found["parameters"], re.MULTILINE)
        return OllamaFact(_sizes(found["pulled"]), _sizes(found["loaded"]), int(context[1]) if context else None)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None


def _sizes(found: Mapping[str, int]) -> dict[str, int]:
    return {name: int(size) for name, size in found.items()}
