"""The document that every program of the platform is started with, read from its file."""

from pathlib import Path

from pydantic import ValidationError

from sparkctl.agent_spec import AgentsDocument
from sparkctl.errors import ConfigError, Problem

ELSEWHERE = (
    "name the file with --config, or run it where `up` put that file, in the gateway's container: "
    "sparkctl ssh HEAD docker exec sparkctl-CLUSTER-gateway sparkctl agents …"
)
"""For who runs a program of the containers on a laptop."""


def read_document(path: Path) -> AgentsDocument:
    """What the platform is told. Raises ConfigError."""
    try:
        return AgentsDocument.model_validate_json(path.read_bytes())
    except OSError as error:
        problem = Problem(str(path), "--config", error.strerror or "cannot be read", "the document of the platform")
        raise ConfigError((problem,), fix=ELSEWHERE) from error
    except ValidationError as error:
        faults = [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors(include_input=False)]
        raise wrong(path, *faults) from error


def wrong(path: Path, *faults: tuple[str, str]) -> ConfigError:
    """The error of a document: of each fault the key, empty for the whole, and what is wrong with it."""
    problems = tuple(Problem(str(path), name or "document", found, "see docs/agents.md") for name, found in faults)
    return ConfigError(problems, place=f"in {path}", fix="`sparkctl up` writes it anew")
