"""Asks the Ollama of this node over loopback, and has it pull, shape, load or unload a model.

`ollama_client.py look PORT MODEL` prints what is there as one line of JSON. `ollama_client.py VERB JOB` does one
thing, and prints a line of JSON for each news: bytes `done` of `total`, a `note`, or an `error`. JOB is JSON.
"""

import http.client
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

START_SECONDS = 60.0  # for a server whose container has just started
LOOK_SECONDS = 5.0
LOAD_SECONDS = 3600.0  # for weights that are read from a disk
FOREVER = -1


class Refused(Exception):
    """What Ollama answers with where it does not do a thing."""


def ask(
    port: int, method: str, path: str, body: Any = None, seconds: float = LOOK_SECONDS
) -> Iterator[dict[str, Any]]:
    """The lines of an answer. Raises OSError, and Refused with Ollama's own words."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None)
        answer = connection.getresponse()
        if answer.status >= 400:
            raise Refused(words_of(answer))
        for line in answer:
            found = json.loads(line)
            if not isinstance(found, dict):
                raise ValueError(line.decode(errors="replace").strip())
            if "error" in found:
                raise Refused(str(found["error"]))
            yield found
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(str(error) or type(error).__name__) from error
    finally:
        connection.close()


def words_of(refusal: http.client.HTTPResponse) -> str:
    """Why it refuses: Ollama's own words, or how the answer of somebody else begins."""
    text = refusal.read(4096).decode(errors="replace").strip()
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return f"{refusal.status}: {text.partition(chr(10))[0][:200]}"


def one(port: int, method: str, path: str, body: Any = None, seconds: float = LOOK_SECONDS) -> dict[str, Any]:
    """The only line of an answer."""
    return next(ask(port, method, path, body, seconds), {})


def look(port: int, model: str) -> dict[str, Any]:
    """Sizes of the pulled models in bytes, names of the loaded ones, and the parameters of `model`."""
    pulled = {each["name"]: each["size"] for each in one(port, "GET", "/api/tags").get("models") or ()}
    loaded = {each["name"]: each.get("size", 0) for each in one(port, "GET", "/api/ps").get("models") or ()}
    try:
        parameters = one(port, "POST", "/api/show", {"model": model}).get("parameters", "")
    except Refused:
        parameters = ""
    return {"pulled": pulled, "loaded": loaded, "parameters": parameters}


def pull(port: int, job: dict[str, Any]) -> None:
    """Fetch a model from the library; what has arrived is kept when it breaks off."""
    layers: dict[str, tuple[int, int]] = {}
    for news in ask(port, "POST", "/api/pull", {"model": job["model"]}, LOAD_SECONDS):
        if "total" in news:
            layers[news.get("digest", "")] = (news.get("completed", 0), news["total"])
            done, total = (sum(part[i] for part in layers.values()) for i in (0, 1))
            say(done=done, total=total)
        else:
            say(note=news.get("status", ""))


def shape(port: int, job: dict[str, Any]) -> None:
    """The model under the name that clients ask for, with its context: a request over /v1 cannot ask for one."""
    body = {"model": job["name"], "from": job["model"], "parameters": {"num_ctx": job["context"]}}
    for news in ask(port, "POST", "/api/create", body, LOAD_SECONDS):
        say(note=news.get("status", ""))


def load(port: int, job: dict[str, Any]) -> None:
    """Into memory, to stay."""
    one(port, "POST", "/api/generate", {"model": job["name"], "keep_alive": FOREVER, "stream": False}, LOAD_SECONDS)


def unload(port: int, job: dict[str, Any]) -> None:
    """Out of memory; it stays pulled."""
    one(port, "POST", "/api/generate", {"model": job["name"], "keep_alive": 0, "stream": False}, LOAD_SECONDS)


def say(**news: Any) -> None:
    """One line for whoever watches."""
    print(json.dumps(news), flush=True)


def wait(port: int) -> None:
    """Until the server answers. Raises OSError."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            one(port, "GET", "/api/version")
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def main(argv: list[str]) -> int:
    """The status to end with."""
    verb = argv[0]
    if verb == "look":
        try:
            print(json.dumps(look(int(argv[1]), argv[2])))
        except (OSError, Refused, KeyError, TypeError):
            return 1
        return 0
    job = json.loads(argv[1])
    try:
        wait(job["port"])
        {"pull": pull, "shape": shape, "load": load, "unload": unload}[verb](job["port"], job)
    except OSError as error:
        say(error=f"Ollama does not answer: {error}")
    except Refused as error:
        say(error=str(error))
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
