"""The shape of the house: which room may import which, and how large files and functions get."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = sorted((ROOT / "sparkctl").rglob("*.py"))
SOURCES = [*PROGRAM, *sorted((ROOT / "templates").rglob("*.py")), *sorted((ROOT / "tests").rglob("*.py"))]
FILE_LINES, FUNCTION_LINES = 300, 60


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_contracts_between_the_rooms() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


def test_a_broken_contract_is_noticed(tmp_path: Path) -> None:
    """The linter reads the contracts of pyproject.toml: an engine that imports the transport breaks one."""
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    for path in PROGRAM:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    engine = tmp_path / "sparkctl/engines/engine.py"
    engine.write_text(f"{engine.read_text()}\nimport sparkctl.transport.ssh\n")
    linter = Path(sys.executable).with_name("lint-imports")
    env = {"PYTHONPATH": str(tmp_path), "PATH": os.defpath}  # the copy comes before the package that is installed
    done = subprocess.run([linter], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "sparkctl.engines is not allowed to import sparkctl.transport" in done.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sizes(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= FILE_LINES
    long = {node.name: lines(node) for node in functions(ast.parse(text)) if lines(node) > FUNCTION_LINES}
    assert not long


@pytest.mark.parametrize("path", PROGRAM, ids=lambda path: str(path.relative_to(ROOT)))
def test_house_rules(path: Path) -> None:
    """What no linter here checks: no sys.exit and no `except Exception` but at the boundary, nothing unfinished.

    A program of the nodes, or of the sandbox's jobs, is its own boundary: it ends with what `main` answers.
    """
    text = path.read_text()
    if {"node", "inside"} & set(path.relative_to(ROOT).parts):
        text = re.sub(r'\nif __name__ == "__main__":\n    (raise SystemExit|sys\.exit)\(main\(.*\)\)\n\Z', "", text)
    if path.name != "__main__.py":
        assert "sys.exit(" not in text and "SystemExit(" not in text
        assert "except Exception" not in text
    for word in ("TODO", "FIXME", "NotImplementedError"):
        assert word not in text


def test_sources_are_those_of_the_oldest_python() -> None:
    """What pyproject.toml promises: the grammar of Python 3.11, whatever runs this test."""
    for path in SOURCES:
        ast.parse(path.read_text(), feature_version=(3, 11))


def test_mean_sizes_of_the_program() -> None:
    """Files near 90 lines, functions near 8."""
    trees = [ast.parse(path.read_text()) for path in PROGRAM]
    sizes = [lines(node) for tree in trees for node in functions(tree)]
    assert sum(sizes) / len(sizes) < 12
    assert sum(len(path.read_text().splitlines()) for path in PROGRAM) / len(PROGRAM) < 120
