"""Reading a document in a process of its own, so that neither its size nor its malice stops anything else."""

import asyncio
import json
import os
import signal
import sys

from sparkctl.agents.core.failure import Refused
from sparkctl.agents.rag.passages import Passage

SECONDS = 90
"""Wall-clock time of one document; the process has less of the processor's."""
SPENT = (-signal.SIGXCPU, -signal.SIGKILL)


async def read_apart(content: bytes, kind: str) -> list[Passage]:
    """The passages of a document. Raises Refused, with a reason for its sender."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "sparkctl.agents.rag.reader", kind),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ},
    )
    try:
        out, said = await asyncio.wait_for(process.communicate(content), SECONDS)
    except TimeoutError as error:
        raise Refused(f"the document takes more than {SECONDS} s to read") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _passages(process.returncode or 0, out, said)


def _passages(code: int, out: bytes, said: bytes) -> list[Passage]:
    if code in SPENT or b"MemoryError" in said:
        raise Refused("the document takes too much time or memory to read")
    if code:
        raised = said.decode("utf-8", "replace").strip().rpartition("\n")[2].partition(":")[0].rpartition(".")[2]
        raise Refused(f"the document is broken: it cannot be read ({raised[:60] or f'exit code {code}'})")
    answer = json.loads(out)
    if isinstance(answer, str):
        raise Refused(answer)
    return [Passage(**one) for one in answer]
