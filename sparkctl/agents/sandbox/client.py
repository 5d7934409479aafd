"""The gateway's side of the sandbox: one connection for each request, over a Unix socket that the two share."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sparkctl.agent_spec import AgentsDocument
from sparkctl.agents.core.failure import Unavailable, failure_of
from sparkctl.agents.sandbox.job import Result
from sparkctl.agents.sandbox.selftest import Check, Report
from sparkctl.agents.sandbox.wire import frame, receive
from sparkctl.agents.sandbox.workspace import Text

WAIT_SECONDS = 120.0
"""How long a request may wait for its turn, and for an answer that takes no job."""


@dataclass(frozen=True)
class SandboxClient:
    """The sandbox behind that socket. `off` says why no code is run by configuration; empty where it is. `seconds` is
    how long a job may take there.

    Every call raises Unavailable where it is off or away, Busy where too many wait, Refused for what cannot be done.
    A call that is cancelled ends its job.
    """

    socket: str
    off: str = ""
    seconds: float = 0.0

    async def execute(self, user: str, session: str, language: str, code: str, stdin: str = "") -> Result:
        """Run a program in the session's workspace."""
        return await self._job(user, session, do="execute", language=language, code=code, stdin=stdin)

    async def test(self, user: str, session: str, language: str, code: str, tests: str) -> Result:
        """Run tests, which load `code` as `solution`. Python, JavaScript, Bash."""
        return await self._job(user, session, do="test", language=language, code=code, tests=tests)

    async def analyze(self, user: str, session: str, language: str, code: str) -> Result:
        """Findings about a program that is not run, as lines."""
        return await self._job(user, session, do="analyze", language=language, code=code)

    async def search(self, user: str, session: str, pattern: str, names: str = "") -> Result:
        """Lines of the workspace's files that match a regular expression; `names` is a pattern of a shell."""
        return await self._job(user, session, do="search", pattern=pattern, names=names)

    async def read(self, user: str, session: str, name: str) -> Text:
        """The beginning of a file. Raises Unknown too."""
        return Text(**await self._ask(do="read", user=user, session=session, name=name))

    async def write(self, user: str, session: str, name: str, content: str) -> int:
        """Write a file anew; bytes written. Raises TooLarge too."""
        said = await self._ask(do="write", user=user, session=session, name=name, content=content)
        return int(said["bytes"])

    async def files(self, user: str, session: str, folder: str = "") -> dict[str, int]:
        """Files below a folder by name, with their bytes. Raises Unknown too."""
        said = await self._ask(do="files", user=user, session=session, name=folder)
        return {one["name"]: one["bytes"] for one in said["files"]}

    async def forget(self, user: str, session: str) -> None:
        """Take a session's workspace away, where there is one."""
        await self._ask(do="forget", user=user, session=session)

    async def selftest(self) -> Report:
        """What the isolation self-test of the sandbox's start found; waits for its end."""
        said = await self._ask(do="selftest")
        checks = tuple(Check(**one) for one in said["checks"])
        return Report(checks, tuple(said["languages"]), said["landlock"])

    async def _job(self, user: str, session: str, **asked: str) -> Result:
        return Result(**await self._ask(user=user, session=session, **asked))

    async def _ask(self, **asked: str) -> dict[str, Any]:
        if self.off:
            raise Unavailable(self.off)
        try:
            async with asyncio.timeout(self.patience):
                said = await self._exchange(frame(asked))
        except TimeoutError as error:
            raise Unavailable(f"the sandbox did not answer in {self.patience:.0f} s") from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Unavailable("the sandbox is away: its container does not answer") from error
        if fault := said.get("error"):
            raise failure_of(fault["code"], fault["message"])
        return said

    @property
    def patience(self) -> float:
        """Seconds after which the sandbox counts as away."""
        return WAIT_SECONDS + self.seconds

    async def _exchange(self, request: bytes) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(self.socket)
        try:
            writer.write(request)
            await writer.drain()
            return await receive(reader)
        finally:
            writer.close()


def sandbox_of(document: AgentsDocument) -> SandboxClient:
    """The sandbox of a gateway; nothing is asked yet, and nothing stays open."""
    settings, socket = document.agents.sandbox, document.where.sandbox
    if not settings.enabled:
        return SandboxClient("", "code is not run here: agents.sandbox.enabled is false")
    off = "" if socket else "code is not run here: no sandbox was deployed with this gateway"
    return SandboxClient(socket, off, settings.seconds)


async def forget(document: AgentsDocument, user: str, workspace: str) -> None:
    """Take away what is kept by that name in the sandbox, if anything; one that is away does it when it is old."""
    with suppress(Unavailable):
        await sandbox_of(document).forget(user, workspace)
