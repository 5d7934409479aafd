"""A tiny engine image for the lab's registry: it looks like vLLM from outside, and fails as it is told.

Told `slow`, it loads for 12 s; told `slow30`, for 30 s.
With `--enable-sleep-mode` it sleeps and wakes by vLLM's routes; while it sleeps, requests wait.
"""

from collections.abc import Mapping
from pathlib import Path

from faults import CLUSTER, NORAY, STUB, Deployment
from machines import Machine

VLLM = """#!/usr/bin/python3
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
if sys.argv[1] == "--version":
    sys.exit(print("0.32.0"))
fault = os.environ.get("STUB_FAULT", "")
if fault == "memory":
    time.sleep(1)
    sys.exit("ValueError: Free memory on device cuda:0 is less than desired GPU memory utilization (0.8, 97.4 GiB).")
if "--headless" in sys.argv:
    time.sleep(1e6)
if fault.startswith("slow"):
    time.sleep(float(fault[4:] or 12))
flags = dict(zip(sys.argv, sys.argv[1:]))
sleeps, asleep = "--enable-sleep-mode" in sys.argv, []
class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if fault == "silent" else 200)
        self.end_headers()
        if sleeps and self.path == "/is_sleeping":
            self.wfile.write(json.dumps({"is_sleeping": bool(asleep)}).encode())
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        if sleeps and self.path in ("/sleep?level=1&mode=wait", "/wake_up"):
            asleep[:] = [self.path] * (self.path != "/wake_up")
            self.send_response(200)
            return self.end_headers()
        while asleep:
            time.sleep(0.1)
        self.send_response(500 if fault == "completions" else 200)
        self.end_headers()
        good = b'data: {"choices": [{"text": "a"}]}\\n\\ndata: [DONE]\\n\\n'
        self.wfile.write(b'{"error": {"message": "InvalidCxxCompiler: no g++"}}' if fault == "completions" else good)
    def log_message(self, *words):
        print("stub:", self.command, self.path, flush=True)
print("Starting vLLM API server", flush=True)
server = ThreadingHTTPServer((flags["--host"], int(flags["--port"])), Api)
print("Application startup complete.", flush=True)
server.serve_forever()
"""


def publish(machine: Machine, reference: str = STUB, fault: str = "") -> None:
    """Make the image on a node and push it to the lab's registry; the node keeps nothing of it.

    With `fault` it fails in that way wherever it runs.
    """
    name = f"{CLUSTER}-stub-maker"
    machine.ssh(
        f"""set -e
        trap 'docker rm -f {name}; docker rmi -f {reference} {NORAY}' EXIT
        docker run -i --name {name} {NORAY} bash -c 'cat >/usr/local/bin/vllm; chmod 755 /usr/local/bin/vllm'
        docker commit --change 'ENV STUB_FAULT={fault}' {name} {reference}
        docker push -q {reference}""",
        stdin=VLLM,
    )


def two_ranks(
    deploy: Deployment,
    fault: str = "",
    image: str = STUB,
    ready: int = 60,
    env: Mapping[str, str] | None = None,
    **engine: object,
) -> Path:
    """The profile of the stand-in on both nodes; another `env` makes another generation."""
    variables = {**(env or {}), **({"STUB_FAULT": fault} if fault else {})}
    engine = {"env": variables, "weights_gib": 0.5, **engine}
    return deploy.profile(image={"ref": image}, engine=engine, timeouts={"ready_s": ready, "drain_s": 2})
