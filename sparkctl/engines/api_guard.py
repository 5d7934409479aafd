"""A guard before vLLM's API: vLLM asks for the key below /v1 alone, and serves the same model at /invocations.

Seen with vLLM 0.32.0: without a key, a chat request to /invocations came back with tokens, and /tokenize answered.
Below /v1 the guard asks, too: vLLM judges by a URL that older Starlettes build from the Host header, and `Host: a/?`
makes that of /v1/models another one (seen with Starlette 0.48).
"""

from sparkctl.engines.container import FOLDER

FLAGS = ("--middleware", "sparkctl_api_guard.Guard")
"""What lets `vllm serve` put the guard before all routes."""

PROGRAM = """\
import hmac, os

OPEN = {"/health", "/ping", "/version", "/metrics", "/load"}
KEY = f"Bearer {os.environ['VLLM_API_KEY']}".encode()


class Guard:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] not in ("http", "websocket") or self.admits(scope):
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        head = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 401, "headers": head})
        await send({"type": "http.response.body", "body": b'{"error": "Unauthorized"}'})

    def admits(self, scope):
        found = dict(scope["headers"]).get(b"authorization", b"")
        preflight = scope.get("method") == "OPTIONS"  # of a browser, which sends no key with it
        return scope["path"] in OPEN or preflight or hmac.compare_digest(found, KEY)
"""
"""ASGI middleware."""

INSTALL = f"""\
mkdir -p {FOLDER}; cat >{FOLDER}/sparkctl_api_guard.py <<'END'
{PROGRAM}END
export PYTHONPATH="{FOLDER}${{PYTHONPATH:+:$PYTHONPATH}}"
"""
"""Lines of the container's start script: no image has to be built for it."""
