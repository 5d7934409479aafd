"""Tests that the model itself writes for a program: one call of its API, outside of the conversation."""

import re

from openai.types.chat import ChatCompletionMessageParam

from sparkctl.agents.core.completions import complete
from sparkctl.agents.core.endpoints import Served
from sparkctl.agents.core.failure import EngineFailed
from sparkctl.agents.core.run import Run
from sparkctl.agents.core.speaking import engine_faults

HOW = {
    "python": "unittest, or functions named test_*; the program is the module `solution`. No other packages.",
    "javascript": "node:test and node:assert; the program is './solution.js', by require or by import as it exports.",
    "bash": "a script that ends with exit code 0 only if all is right; it begins with: source ./solution.sh",
}
"""What the tests are written with, and how they load the program; one of each of `jobs.TESTABLE`."""
BLOCK = re.compile(r"```[^\n]*\n(.*?)```", re.DOTALL)


async def write_tests(run: Run, served: Served, language: str, code: str) -> str:
    """The tests that the model wrote, as code. Raises EngineFailed, OutOfLimits."""
    task = f"Write unit tests in {language} for the program below: usual cases, edges, errors. Use {HOW[language]}"
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": "You write unit tests. Answer with one code block and nothing else."},
        {"role": "user", "content": f"{task}\n\n```{language}\n{code}\n```"},
    ]
    with engine_faults():
        text = await complete(run, served, messages)
    found = BLOCK.search(text)
    if not (tests := (found[1] if found else text).strip()):
        raise EngineFailed(f"the model {served.name} wrote no tests")
    return tests + "\n"
