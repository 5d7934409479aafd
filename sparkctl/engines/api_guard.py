"""A guard before vLLM's API: vLLM asks for the key below /v1 alone, and serves the same model at /invocations.

Seen with vLLM 0.32.0: without a key, a chat request to /invocations came back with tokens, and /tokenize answered.
Below /v1 the guard asks, too: vLLM judges by a URL that older Starlettes build from the Host header, and `Host: a/?`
makes that of /v1/models another one (seen with Starlette 0.48).
"""

from sparkctl.engines.container import FOLDER
from sparkctl.engines.middleware import install, program

FLAGS = ("--middleware", "sparkctl_api_guard.Guard")
"""What lets `vllm serve` put the guard before all routes."""

_NAMES = """\
import hmac, os

OPEN = {"/health", "/ping", "/version", "/metrics", "/load"}
KEY = f"Bearer {os.environ['VLLM_API_KEY']}".encode()
"""
_ADMITS = """\
        found = dict(scope["headers"]).get(b"authorization", b"")
        preflight = scope.get("method") == "OPTIONS"  # of a browser, which sends no key with it
        return scope["path"] in OPEN or preflight or hmac.compare_digest(found, KEY)
"""
PROGRAM = program(_NAMES, _ADMITS, 401, "Unauthorized")
"""ASGI middleware."""

INSTALL = f"""\
{install("sparkctl_api_guard", PROGRAM)}\
export PYTHONPATH="{FOLDER}${{PYTHONPATH:+:$PYTHONPATH}}"
"""
"""Lines of the container's start script, from where guards are found."""
