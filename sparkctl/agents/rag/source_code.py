"""Source code as passages: Python at its functions and classes, other languages where a block begins."""

import ast
import itertools
import re

from sparkctl.agents.rag.decode import decode
from sparkctl.agents.rag.passages import Passage, stretches

BLOCK_LINES = 40
"""Blocks are put together until they have so many lines."""
CLOSING = re.compile(r"\s|[)\]}]|end\b|else\b|#include\b")
"""How a line begins that does not begin a block: indented, or the end of one."""
Defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def read_python(content: bytes) -> list[Passage]:
    """A passage for each function, class and method, named as Python names it; what does not parse is other code."""
    text = decode(content)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return split_blocks(text)
    return stretches(text.split("\n"), _starts(tree.body, ""))


def _starts(body: list[ast.stmt], within: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for before, one in zip([None, *body], body, strict=False):
        if isinstance(one, Defined):
            found.append((min([one.lineno, *(each.lineno for each in one.decorator_list)]), within + one.name))
            if isinstance(one, ast.ClassDef):
                found += _starts(one.body, f"{within}{one.name}.")
        elif isinstance(before, Defined):
            found.append((one.lineno, within.rstrip(".")))
    return found


def read_code(content: bytes) -> list[Passage]:
    """Other languages."""
    return split_blocks(decode(content))


def split_blocks(text: str) -> list[Passage]:
    """Cut where a line without indentation follows an empty one, but not into pieces under `BLOCK_LINES` lines."""
    lines, starts = text.split("\n"), [(1, "")]
    for number, (before, line) in enumerate(itertools.pairwise(lines), 2):
        begins = not before.strip() and line.strip() and not CLOSING.match(line)
        if begins and number - starts[-1][0] >= BLOCK_LINES:
            starts.append((number, ""))
    return stretches(lines, starts)
