"""The report of `agents eval` for people: what was asked, how much of it was right, and the floor beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

from sparkctl.amounts import plural
from sparkctl.report.page import Line

Measure = Mapping[str, float] | None
NONE = "-"


def show_eval(found: Mapping[str, Any]) -> list[Line]:
    """A block for each suite; intervals are of 95 %."""
    asked = f"{found['subject']}, {plural(found['seeds'], 'seed')}" if found["subject"] else "the floors alone"
    lines = [Line(f"evaluation of {asked}", "bold")]
    if "routing" in found:
        lines += _routing(found["routing"])
    if "code" in found:
        lines += _code(found["code"])
    if "retrieval" in found:
        lines += _retrieval(found["retrieval"])
    return lines + [Line(note, "yellow", 2) for note in found.get("notes", ())]


def _routing(scores: Sequence[Mapping[str, Any]]) -> list[Line]:
    groups, labels = (list(dict.fromkeys(key for one in scores for key in one[name])) for name in ("groups", "recall"))
    rows = [["", *(one["router"] for one in scores)], ["prompts", *(str(one["prompts"]) for one in scores)]]
    rows += [[name, *(_measure(one[name]) for one in scores)] for name in ("accuracy", "malformed")]
    rows += [[f"  {name}", *(_measure(one["groups"].get(name)) for one in scores)] for name in groups]
    rows += [[f"  recall of {name}", *(_measure(one["recall"].get(name)) for one in scores)] for name in labels]
    return [*_table("routing", rows), *_confusion(scores[0])]


def _confusion(score: Mapping[str, Any]) -> list[Line]:
    matrix = score["confusion"]
    columns = list(next(iter(matrix.values())))
    rows = [["right label \\ chosen", *columns]]
    rows += [[label, *(str(chosen[column]) for column in columns)] for label, chosen in matrix.items()]
    return _table(f"who was chosen by {score['router']}", rows)


def _code(score: Mapping[str, Any]) -> list[Line]:
    rows = [["", score["writer"]], ["tasks", str(score["tasks"])], ["pass@1", _measure(score["passed"])]]
    return [*_table("code", rows), Line(f"failed: {', '.join(score['failed']) or 'none'}", "", 2)]


def _retrieval(report: Mapping[str, Any]) -> list[Line]:
    rows = [["", "questions", "recall@5", "MRR@10", "nDCG@10"]]
    for one in report["lines"]:
        measures = (_measure(one[name]) for name in ("recall", "mrr", "ndcg"))
        rows.append([f"{one['part']}: {one['ranker']}", str(one["questions"]), *measures])
    over = f"{plural(report['documents'], 'document')}, {plural(report['chunks'], 'chunk')}, Python {report['python']}"
    return [*_table("retrieval", rows), Line(over, "dim", 2)]


def _measure(value: Measure) -> str:
    return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]" if value else NONE


def _table(title: str, rows: Sequence[Sequence[str]]) -> list[Line]:
    """Columns as wide as their widest, the first to the left, under a bold head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def row(cells: Sequence[str]) -> str:
        first, *others = cells
        return "  ".join(
            [first.ljust(widths[0]), *(one.rjust(width) for one, width in zip(others, widths[1:], strict=True))]
        )

    head, *body = map(row, rows)
    return [Line(""), Line(title, "bold"), Line(head, "dim", 2), *(Line(one, "", 2) for one in body)]
