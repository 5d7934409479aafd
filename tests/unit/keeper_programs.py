"""Stand-ins for what the keeper runs and asks: `docker`, `ssh` and others on two nodes, and the API of an engine."""

import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

DOCKER = '''#!{python} -IS
"""A stand-in for docker: containers are entries of a JSON file, and every change is a line of a log."""
import fcntl, json, os, sys
folder, node = "{folder}", os.environ.get("NODE", "spark-1")
lock = open(folder + "/lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
if os.path.exists(f"{{folder}}/down-{{node}}"):
    sys.exit("Cannot connect to the Docker daemon")
state = json.load(open(folder + "/containers.json"))
mine = {{i: c for i, c in state.items() if c["node"] == node}}
verb, rest = sys.argv[1], sys.argv[2:]
if verb == "ps":
    print("\\n".join(mine))
elif verb == "inspect":
    for i in rest[2:]:
        c = mine[i]
        print(i, "/" + c["name"], c["status"], c["started"], "2026-11-21T10:00:00.5Z", c["code"], c["spec"])
elif verb == "volume":
    with open(folder + "/log", "a") as log:
        print("volume", *rest, file=log)
    if rest[-1].endswith("vllm-tmp"):
        sys.exit("volume is in use")
elif verb == "exec":
    print(json.dumps([[a, 1.0] for a in ("10.0.0.1", "10.0.0.2")]))
else:
    one = next(i for i in rest if i in mine)
    c = state[one]
    with open(folder + "/log", "a") as log:
        print(verb, c["name"], file=log)
    if verb == "start":
        works = c["works"]
        c |= {{"status": "running" if works else "exited", "code": 0 if works else 1}}
        c["started"] = c["started"][:-1] + chr(ord(c["started"][-1]) + 1)
    elif verb == "stop":
        c["status"] = "exited"
    elif verb == "rename":
        c["name"] = rest[-1]
    elif verb == "rm":
        del state[one]
    json.dump(state, open(folder + "/containers.json", "w"))
'''
CAT = """#!/bin/sh
case "$1" in /proc/sys/kernel/random/boot_id) exec /bin/cat "{folder}/boot-${{NODE:-spark-1}}" ;; esac
exec /bin/cat "$@"
"""
SSH = """#!/bin/sh
[ -e "{folder}/away-$1" ] && exit 255
NODE=$1 exec sh -c "$2"
"""
PROGRAMS = {"docker": DOCKER, "cat": CAT, "ssh": SSH, "runuser": '#!/bin/sh\nshift 3\nexec "$@"\n'}
CUT_SHORT = 99
CUT = f"""
import os, pathlib, subprocess
def counted(function):
    def change(*words, **more):
        global CHANGES
        said = str(words)
        if not any(look in said for look in ("inspect", "/proc", "cat", "curl", "MemAvailable", "exec")):
            CHANGES -= 1
            if CHANGES < 0:
                os._exit({CUT_SHORT})
        return function(*words, **more)
    return change
subprocess.run = counted(subprocess.run)
for name in ("replace", "unlink"):
    setattr(pathlib.Path, name, counted(getattr(pathlib.Path, name)))
"""
"""Ends the process, as a power cut would, before a file is put in place or removed, or a container is changed."""


def install(target: Path, folder: Path) -> None:
    """Put the programs into `target`; what they tell and change lies in `folder`."""
    target.mkdir()
    for name, text in PROGRAMS.items():
        file = target / name
        file.write_text(text.format(folder=folder, python=sys.executable) if "{folder}" in text else text)
        file.chmod(0o755)


def api_while(serves: Callable[[], bool]) -> type[BaseHTTPRequestHandler]:
    """An API that answers while the container behind it `serves`."""

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            assert self.headers["Authorization"] == "Bearer the key"
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(b'data: {"choices": [{"text": "a"}]}\n\n')

        def _answer(self, body: bytes) -> None:
            self.send_response(200 if serves() else 503)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    return Api
