"""How the programs of the platform listen: an address first, then the application behind it, then requests."""

import errno
import socket
from contextlib import AsyncExitStack, suppress

import uvicorn
from fastapi import FastAPI

from sparkctl.errors import SparkctlError


class Server(uvicorn.Server):
    """uvicorn; but what keeps the application from starting is raised, where uvicorn would log its traceback.

    `address` is the IP address at which it listens: from there, too, comes a proxy on the same host.
    """

    def __init__(self, app: FastAPI, address: str, *, drain_seconds: int) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=drain_seconds,
            server_header=False,
            forwarded_allow_ips=["127.0.0.1", "::1", address],
        )
        super().__init__(config)
        self._app, self._opened = app, AsyncExitStack()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the application, then listen."""
        async with AsyncExitStack() as opening:
            await opening.enter_async_context(self._app.router.lifespan_context(self._app))
            await super().startup(sockets)
            self._opened = opening.pop_all()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what was asked, then close the application."""
        await super().shutdown(sockets)
        await self._opened.aclose()


def listen(app: FastAPI, address: str, port: int, *, drain_seconds: int) -> None:
    """Serve until told to end; answers under way then have so many seconds.

    Raises SparkctlError where nobody can listen there, and what the application raises when it starts.
    """
    with _bound(address, port) as own, suppress(KeyboardInterrupt):
        Server(app, own.getsockname()[0], drain_seconds=drain_seconds).run([own])


def _bound(address: str, port: int) -> socket.socket:
    """A socket of that address, at which nobody is heard yet."""
    made = None
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place)
    except OSError as error:
        if made:
            made.close()
        what = f"cannot listen on {address} port {port}: {error.strerror or error}"
        taken = error.errno == errno.EADDRINUSE
        fix = f"see who has it: ss -ltnp 'sport = :{port}'" if taken else "name an address of this machine"
        raise SparkctlError(what, fix=fix) from error
    return made
