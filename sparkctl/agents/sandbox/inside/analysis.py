"""Run as a job: what the syntax tree of a Python program tells, from standard input to standard output."""

import ast
import sys
from collections.abc import Iterator

BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.Assert, ast.comprehension)
COMPLEX = 10
"""McCabe's own limit (A Complexity Measure, 1976)."""
LONG = 60
DANGEROUS = ("eval", "exec", "compile", "__import__")


def main() -> int:
    """Print findings, one a line; 1 where the program does not parse."""
    try:
        tree = ast.parse(sys.stdin.read())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        print(f"syntax error{f' in line {line}' if line else ''}: {getattr(error, 'msg', '') or error}")
        return 1
    functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    classes = [one for one in ast.walk(tree) if isinstance(one, ast.ClassDef)]
    print(f"the syntax is right: {len(functions)} functions, {len(classes)} classes")
    for one in functions:
        print(f"line {one.lineno}: {one.name}: cyclomatic complexity {complexity(one)}")
    found = sorted({*sizes(functions), *unused(tree), *habits(tree)})
    for line, words in found:
        print(f"line {line}: {words}")
    print(f"{len(found)} findings" if found else "no findings")
    return 0


def complexity(function: ast.AST) -> int:
    """McCabe's number: one more than the branches."""
    nodes = list(ast.walk(function))
    extra = sum(len(one.values) - 1 for one in nodes if isinstance(one, ast.BoolOp))
    return 1 + sum(isinstance(one, BRANCHES) for one in nodes) + extra


def sizes(functions: "list[ast.FunctionDef | ast.AsyncFunctionDef]") -> Iterator[tuple[int, str]]:
    """Functions that are too complex or too long."""
    for one in functions:
        if complexity(one) > COMPLEX:
            yield one.lineno, f"{one.name} is complex: above {COMPLEX}"
        if (length := (one.end_lineno or one.lineno) - one.lineno + 1) > LONG:
            yield one.lineno, f"{one.name} is long: {length} lines"


def unused(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Imported names that are never read, and local variables that are only written."""
    read = {one.id for one in ast.walk(tree) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}
    read |= {one.value for one in ast.walk(tree) if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    for one in ast.walk(tree):
        if isinstance(one, ast.Import | ast.ImportFrom):
            for alias in one.names:
                called = alias.asname or alias.name.split(".")[0]
                if called not in read and called != "*" and getattr(one, "module", "") != "__future__":
                    yield one.lineno, f"{called} is imported and not used"
        elif isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
            for name in ast.walk(one):
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store) and name.id not in {*read, "_"}:
                    yield name.lineno, f"{name.id} is set and not used"


def habits(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What often is a mistake."""
    for one in ast.walk(tree):
        if isinstance(one, ast.ExceptHandler) and one.type is None:
            yield one.lineno, "a bare except also catches Ctrl-C"
        elif isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
            if any(isinstance(default, ast.List | ast.Dict | ast.Set) for default in one.args.defaults):
                yield one.lineno, f"{one.name} has a mutable default, which its calls share"
        elif isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id in DANGEROUS:
            yield one.lineno, f"{one.func.id} runs text as code"
        elif isinstance(one, ast.Compare) and compares_none(one):
            yield one.lineno, "None is compared with ==: use is"


def compares_none(one: ast.Compare) -> bool:
    """Whether it asks for equality with None."""
    equal = any(isinstance(sign, ast.Eq | ast.NotEq) for sign in one.ops)
    return equal and any(isinstance(other, ast.Constant) and other.value is None for other in one.comparators)


if __name__ == "__main__":
    sys.exit(main())
