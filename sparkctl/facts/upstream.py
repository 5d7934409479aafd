"""Where a branch of a model and a tag of an image lead now: asked of hub and registry by a node."""

import json
import shlex
from dataclasses import dataclass

from sparkctl.data import template
from sparkctl.facts.probe import Answer, Probe

LOOK_SECONDS = 40


@dataclass(frozen=True)
class HubHead:
    """The commit that a revision stands for on the hub; empty where that is unknown, with the error that says why."""

    commit: str
    error: str = ""


def hub_head_probe(endpoint: str, model: str, revision: str, token_file: str) -> Probe[HubHead]:
    """Ask the hub; the token is read on the node from `token_file`, where there is one."""
    job = json.dumps(
        {
            "look": True,
            "endpoint": endpoint,
            "repo": model,
            "revision": revision,
            "token_file": token_file,
            "allow": ["*"],
            "cache": "",
        }
    )
    script = f"timeout {LOOK_SECONDS} python3 -c {shlex.quote(template('hub_download.py'))} {shlex.quote(job)}"
    return Probe(f"hub-head:{model}@{revision}", script, _head)


def tag_probe(reference: str) -> Probe[str]:
    """The digest that a registry has for an image's tag; empty where the engine cannot learn it."""
    script = f"engine {shlex.quote(f'/distribution/{reference}/json')}"
    return Probe(f"tag:{reference}", script, _digest)


def _head(answer: Answer) -> HubHead:
    found: dict[str, str] = {}
    for line in answer.stdout.splitlines():
        try:
            words = json.loads(line)
        except ValueError:
            continue
        found |= {key: str(value) for key, value in words.items()} if isinstance(words, dict) else {}
    said = "" if answer.rc == 0 else "the hub does not answer"
    return HubHead(found.get("commit", ""), found.get("error", said))


def _digest(answer: Answer) -> str:
    try:
        return str(json.loads(answer.stdout)["Descriptor"]["digest"])
    except (ValueError, KeyError, TypeError):
        return ""
