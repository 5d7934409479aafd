"""Have this node's engine pull an image from the relay, give it its name, and take the relay's name away again.

Reads a job as JSON from standard input: port (of loopback, which leads to the relay), path (where the relay keeps the
image: `path/repository`), mark (what the names of all relays of this cluster begin with), repository, reference (a
tag or a digest), name and tag (what the image is called here), record (the file to which its id is added). Speaks to
the engine's socket, since a command's words are everybody's to read. Prints a line every second while it works, and
ends with status 1 and the reason on standard error where the engine fails, or the relay falls silent.
"""

import http.client
import json
import re
import signal
import socket
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = "127.0.0.1"
SOCKET = "/var/run/docker.sock"
BEAT_SECONDS = 1.0
SILENCE_SECONDS = 30.0
"""After how long the relay counts as lost: a cut cable looks like a slow one at first."""


class Engine(http.client.HTTPConnection):
    """One connection to the node's engine."""

    def connect(self) -> None:
        """To its socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)


def ask(method: str, path: str, **query: str) -> Any:
    """What the engine answers, none where that is nothing. Raises OSError with the engine's words."""
    engine = Engine(HERE)
    try:
        engine.request(method, f"{urllib.parse.quote(path)}?{urllib.parse.urlencode(query)}")
        answer = engine.getresponse()
        text = answer.read().decode()
    finally:
        engine.close()
    if answer.status >= 400:
        raise OSError(f"{method} {path}: {text.strip()}")
    return json.loads(text) if text.strip() else None


class Pull:
    """The engine's pull, in a thread of its own; `problem` is why it failed, empty where it did not."""

    def __init__(self, name: str, reference: str) -> None:
        self.problem = ""
        self._words = {"fromImage": name, "tag": reference}
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        engine = Engine(HERE)
        try:
            engine.request("POST", f"/images/create?{urllib.parse.urlencode(self._words)}")
            for line in engine.getresponse():
                said = json.loads(line)
                self.problem = self.problem or str(said.get("error") or said.get("message") or "")
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.problem = f"the engine broke off: {error}"


def await_pull(pull: Pull, port: int) -> None:
    """Return when the engine has ended. Raises OSError where it failed, or the relay does not answer any more."""
    while pull.thread.is_alive():
        relay = http.client.HTTPConnection(HERE, port, timeout=SILENCE_SECONDS)
        relay.request("GET", "/v2/")
        relay.getresponse().read()
        relay.close()
        print("{}", flush=True)
        pull.thread.join(BEAT_SECONDS)
    if pull.problem:
        raise OSError(pull.problem)


def left_names(mark: str) -> Iterator[str]:
    """Names that a relay of this cluster gave to images here, this time or in a run that was cut."""
    ours = re.compile(rf"{re.escape(HERE)}:\d+/{re.escape(mark)}/")
    for image in ask("GET", "/images/json"):
        names = (*(image["RepoTags"] or ()), *(image["RepoDigests"] or ()))
        yield from (name for name in names if ours.match(name))


def forget(names: Iterator[str]) -> None:
    """Take names away; with the last tag of a repository go its digests."""
    for name in names:
        try:
            ask("DELETE", f"/images/{name}")
        except OSError as error:
            if "No such image" not in str(error):
                raise


def bring(job: dict[str, Any]) -> None:
    """Pull, record, name. Raises OSError."""
    name, reference = f"{HERE}:{job['port']}/{job['path']}/{job['repository']}", job["reference"]
    await_pull(Pull(name, reference), job["port"])
    here = f"/images/{name}{'@' if ':' in reference else ':'}{reference}"
    with Path(job["record"]).open("a") as record:
        record.write(f"{ask('GET', f'{here}/json')['Id']}\n")
    ask("POST", f"{here}/tag", repo=job["name"], tag=job["tag"])


def main() -> int:
    """Leave the image with its name or nothing, also where the connection ends meanwhile."""
    job = json.load(sys.stdin)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        bring(job)
    except (OSError, http.client.HTTPException, KeyboardInterrupt) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        forget(left_names(job["mark"]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
