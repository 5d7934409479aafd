"""Guards before all routes of vLLM's API: ASGI middleware that the start script of its container writes."""

from sparkctl.engines.container import FOLDER

_CLASS = """\
class Guard:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] not in ("http", "websocket") or self.admits(scope):
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        head = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": @STATUS@, "headers": head})
        await send({"type": "http.response.body", "body": b'{"error": "@ERROR@"}'})

    def admits(self, scope):
"""


def program(names: str, admits: str, status: int, error: str) -> str:
    """A module with the class `Guard`, which answers `status` and `error` to what `admits` is false for.

    `names` are lines before the class, `admits` is the body of a method of `scope`, indented for it.
    """
    return f"{names}\n\n{_CLASS.replace('@STATUS@', str(status)).replace('@ERROR@', error)}{admits}"


def install(module: str, text: str) -> str:
    """Lines of the container's start script: no image has to be built for it."""
    return f"mkdir -p {FOLDER}; cat >{FOLDER}/{module}.py <<'END'\n{text}END\n"
