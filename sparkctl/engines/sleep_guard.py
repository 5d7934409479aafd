"""A second guard before vLLM's API where a role may sleep: what puts it to sleep obeys its own node alone.

`/sleep`, `/wake_up` and `/is_sleeping` exist only in vLLM's development mode, which opens more: `/collective_rpc`
calls any method of the workers, `/server_info` shows configuration and environment, `/update_weights` takes other
weights (seen in vLLM 0.32.0). So what is neither for clients nor one of the three is not there, whoever holds the key.
A request from the node itself comes from the address that the server listens on; no other machine can send from that.
"""

from sparkctl.engines.middleware import install, program

FLAGS = ("--enable-sleep-mode", "--middleware", "sparkctl_sleep_guard.Guard")
"""What lets `vllm serve` sleep, and puts the guard before all routes."""

ENV = {"VLLM_SERVER_DEV_MODE": "1"}
"""Without it vLLM can sleep, and has no route that tells it to."""

_NAMES = """\
FOR_CLIENTS = {"/health", "/ping", "/version", "/metrics", "/load"}
FOR_THE_NODE = {"/sleep", "/wake_up", "/is_sleeping"}
"""
_ADMITS = """\
        path, client, server = scope["path"], scope.get("client"), scope.get("server")
        if path in FOR_THE_NODE:
            return bool(client and server) and client[0] == server[0]
        return path in FOR_CLIENTS or path.startswith("/v1/")
"""
PROGRAM = program(_NAMES, _ADMITS, 404, "Not Found")
"""ASGI middleware."""

INSTALL = install("sparkctl_sleep_guard", PROGRAM)
"""Lines of the container's start script, beside those of the guard that asks for the key."""
