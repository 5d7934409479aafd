"""What a running engine shows from outside: who has joined Ray, and whether the API answers with a real token."""

import json
import re
from dataclasses import dataclass
from shlex import quote

from sparkctl.facts.docker import ALLOWED
from sparkctl.facts.probe import Answer, Probe

LOOK_SECONDS = 5
"""How long a look waits for the one token. An idle server needs well under a second; one that takes more is busy or
hangs, and a reader who wants to know what is the matter should not wait for the difference."""

PATIENT_SECONDS = 30
"""How long `up` waits for it before it takes a busy server for one that hangs; the first one after a start is slow."""

_OUT_OF_TIME = 28
"""curl's exit status."""

_UP = "sparkctl: has been up"


@dataclass(frozen=True)
class ApiFact:
    """One look at the API: status of /health, status of a one-token streamed completion, 0 where nothing answered.

    `token` is true when a chunk with a choice came through the stream; `error` is the server's own words; `hung` is
    true when the completion was still unanswered at the end of the time that the look had.
    """

    health: int
    completion: int
    token: bool
    error: str = ""
    hung: bool = False

    @property
    def serving(self) -> bool:
        """True when a client would be served."""
        return self.health == 200 and self.completion == 200 and self.token


@dataclass(frozen=True)
class LogFact:
    """The end of a container's log; `up` where its API answered at some time of this life."""

    up: bool
    lines: tuple[str, ...]


def ray_peers_probe(port: int) -> Probe[frozenset[str]]:
    """The addresses that hold a connection to the Ray head's control service (GCS): the nodes that have joined.

    `ray status` says the same and takes seconds of Python start-up; it is asked when a join is being verified.
    """
    script = f"ss -Htn state established '( sport = :{port} )'"
    return Probe(f"ray-peers:{port}", script, _peers)


def api_probe(
    address: str, port: int, model: str, key_path: str, seconds: int = LOOK_SECONDS, health: str = "/health"
) -> Probe[ApiFact]:
    """Ask `health`, then for one streamed token; the key goes to curl through a descriptor, never through argv.

    An empty `key_path` shows no key.
    """
    url = f"http://{address}:{port}"
    body = json.dumps({"model": model, "prompt": "1", "max_tokens": 1, "temperature": 0, "stream": True})
    key = f"""-H @<(printf 'Authorization: Bearer %s' "$(cat {quote(key_path)})") """ if key_path else ""
    script = f"""\
curl() {{ command curl -s --noproxy '*' --connect-timeout 2 "$@"; }}
health=$(curl -o /dev/null -m 5 -w '%{{http_code}}' {url}{health})
echo "health=$health"
[ "$health" = 200 ] || exit 0
curl -N -m {seconds} -w '\\ncompletion=%{{http_code}}\\n' -H 'Content-Type: application/json' \\
  {key}-d {quote(body)} {url}/v1/completions
echo "curl=$?"
"""
    return Probe(f"api:{port}", script, _api)


def sleeping_probe(address: str, port: int, key_path: str) -> Probe[bool | None]:
    """Whether a vLLM in its sleep mode is asleep; None where it does not say. Asked on the node itself."""
    key = f"""-H @<(printf 'Authorization: Bearer %s' "$(cat {quote(key_path)})")"""
    script = f"curl -sf --noproxy '*' -m 5 {key} http://{address}:{port}/is_sleeping"
    return Probe(f"sleeping:{port}", script, _sleeping)


def log_probe(container: str, lines: int = 60) -> Probe[LogFact]:
    """How the log of a container's present life ends, and whether its API has been up."""
    name = quote(container)
    script = f"""\
{ALLOWED}since=$($ask docker inspect -f '{{{{.State.StartedAt}}}}' {name}) || exit 1
log() {{ $ask docker logs --since "$since" "$@" {name} 2>&1; }}
log | grep -qm1 'Application startup complete' && echo {_UP}
log --tail {lines}
"""
    return Probe(f"log:{container}", script, _log)


def _sleeping(answer: Answer) -> bool | None:
    try:
        data = json.loads(answer.stdout)
    except ValueError:
        return None
    said = data.get("is_sleeping") if isinstance(data, dict) else None
    return said if isinstance(said, bool) else None


def _log(answer: Answer) -> LogFact:
    lines = answer.stdout.splitlines()
    up = lines[:1] == [_UP]
    return LogFact(up, tuple(line.rstrip("\r").rpartition("\r")[2] for line in lines[up:]))


def _peers(answer: Answer) -> frozenset[str]:
    ends = (line.split()[-1] for line in answer.stdout.splitlines() if len(line.split()) >= 4)
    return frozenset(re.sub(r"^\[?(?:::ffff:)?([^\]]+?)\]?:\d+$", r"\1", end) for end in ends)


def _api(answer: Answer) -> ApiFact:
    text = answer.stdout
    chunks = [line[6:] for line in text.splitlines() if line.startswith("data: {")]
    token = any('"choices"' in chunk for chunk in chunks) and not any('"error"' in chunk for chunk in chunks)
    rest = [line for line in text.splitlines() if line and not re.match(r"(health|completion|curl)=|data: \[", line)]
    error = "" if token else " ".join(rest)[:400]
    hung = not token and _code(text, "curl") == _OUT_OF_TIME
    return ApiFact(_code(text, "health"), _code(text, "completion"), token, error, hung)


def _code(text: str, name: str) -> int:
    found = re.search(rf"^{name}=(\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else 0
