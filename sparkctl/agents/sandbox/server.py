"""`sparkctl agents sandbox`: the first process of the sandbox's container, and its socket."""

import asyncio
import os
import signal
import socket
import struct

from sparkctl.agents.core.failure import Failure, Refused, Unavailable
from sparkctl.agents.sandbox.requests import Answer, Options, Sandbox, answer
from sparkctl.agents.sandbox.wire import frame, receive
from sparkctl.agents.sandbox.workspace import open_workspaces
from sparkctl.errors import SparkctlError

PEER = struct.Struct("3i")
"""`struct ucred`: process, user, group."""


def inside(writer: asyncio.StreamWriter) -> bool:
    """Whether it is a job that asks: then its process has a number here, and the gateway's, next door, has none."""
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
    process, _user, _group = PEER.unpack(raw)
    return bool(process)


async def attend(sandbox: Sandbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection: a request, its answer. A client that goes away takes its job with it."""
    try:
        if inside(writer):
            return
        task = asyncio.create_task(_answered(sandbox, await receive(reader)))
        gone = asyncio.create_task(reader.read(1))
        done, _ = await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        (task if task not in done else gone).cancel()
        if task in done:
            writer.write(task.result())
            await writer.drain()
        else:
            await asyncio.wait((task,))
    except (ConnectionError, asyncio.IncompleteReadError):
        return
    except Refused as refused:
        writer.write(_fault(refused))
    finally:
        writer.close()


async def _answered(sandbox: Sandbox, asked: Answer) -> bytes:
    try:
        return frame(await answer(sandbox, asked))
    except Failure as failure:
        return _fault(failure)
    except OSError as error:
        return _fault(Unavailable(f"the sandbox cannot do this now: {error.strerror}"))


def _fault(failure: Failure) -> bytes:
    return frame({"error": {"code": failure.code, "message": failure.message}})


async def serve_forever(options: Options) -> None:
    """Listen, test the isolation, then answer."""
    sandbox = Sandbox(options, open_workspaces(options.workspaces, options.limits.disk, options.user_mib << 20))
    async with sandbox.turn:
        server = await asyncio.start_unix_server(
            lambda reader, writer: attend(sandbox, reader, writer), str(options.socket)
        )
        await sandbox.examine()
    async with server, asyncio.TaskGroup() as tasks:
        tasks.create_task(sandbox.clean())
        tasks.create_task(server.serve_forever())


def serve(options: Options) -> None:
    """Serve until the container ends. Raises SparkctlError where this is not the first process of a container."""
    if os.getpid() != 1:
        what = "the sandbox ends every process around it after a job, so it must be the first of its own container"
        raise SparkctlError(what, fix="start it as docs/sandbox.md shows, not by hand")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a signal without a handler does not reach the first process
    asyncio.run(serve_forever(options))
