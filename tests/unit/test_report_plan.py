"""The plan as people and programs see it."""

import io
import json
from collections.abc import Sequence

import pytest
from cli_fakes import FakeStep, World, cluster_of, hosts_of
from hypothesis import given
from hypothesis import strategies as st

from sparkctl.core.actions import Run
from sparkctl.core.plan import Item, Plan, gather, make_plan, make_undo
from sparkctl.core.step import Absent, Blocked, Drifted, Layer, Ok, Pending, Step
from sparkctl.facts.probe import Facts
from sparkctl.report.data import item_data, plan_data
from sparkctl.report.look import ASCII, UNICODE, Glyphs, Look
from sparkctl.report.page import Line, Page
from sparkctl.report.plan_view import count, show_plan, show_undo


def text_of(lines: list[Line], width: int = 0) -> str:
    out = io.StringIO()
    Page(out, Look(width=width)).write(lines)
    return out.getvalue()


def facts_of(steps: Sequence[Step], nodes: int = 2) -> Facts:
    return gather(hosts_of(nodes), [want for step in steps for want in step.wants])


def plan_of(nodes: int = 2, **states: str) -> Plan:
    world = World()
    names = [node.name for node in cluster_of(nodes).nodes]
    steps = [FakeStep(world, "packages", name, Layer.HOST, detail="apt-get install -y rsync") for name in names]
    steps += [FakeStep(world, "fabric", "spark-1", Layer.HOST, differences=("MTU is 1500, wished 9000",))]
    steps += [FakeStep(world, "image", "spark-1", Layer.IMAGE)]
    steps += [FakeStep(world, "vllm", name, Layer.WORKLOAD, (f"image@{names[0]}",)) for name in names]
    world.states = {step.key: states.get(step.name, "absent") for step in steps}
    return make_plan(steps, facts_of(steps, nodes))


def test_a_plan_reads_by_layer_with_shared_lines_and_a_sum() -> None:
    made = plan_of(packages="absent", fabric="drifted", image="ok", vllm="blocked")
    assert text_of(show_plan(made, UNICODE)) == (
        "host\n"
        "  + packages  spark-1, spark-2  make packages\n"
        "  ~ fabric    spark-1           make fabric\n"
        "                                because: MTU is 1500, wished 9000\n"
        "image\n"
        "  ✓ 1 as wished\n"
        "workload\n"
        "  ✗ vllm      spark-1, spark-2  vllm is in the way\n"
        "                                fix: move vllm\n"
        "\n"
        "Plan: 2 to create, 1 to change, 2 blocked, 1 unchanged.\n"
    )


def test_what_is_known_later_names_its_step_and_the_node_where_it_is_another() -> None:
    text = text_of(show_plan(plan_of(vllm="pending"), UNICODE))
    assert "? vllm      spark-1           known after image\n" in text
    assert "? vllm      spark-2           known after image@spark-1\n" in text
    assert "2 known later" in text


def test_verbose_adds_details_and_lists_what_is_fine() -> None:
    text = text_of(show_plan(plan_of(image="ok"), UNICODE, verbose=True))
    assert "│ apt-get install -y rsync\n" in text
    assert "✓ image     spark-1           fine\n" in text
    assert "as wished" not in text


def test_many_nodes_are_counted() -> None:
    text = text_of(show_plan(plan_of(nodes=32), UNICODE))
    assert "+ packages  all 32 nodes  make packages\n" in text
    assert max(map(len, text.splitlines())) < 80


def test_undo_goes_backwards_and_says_how_much() -> None:
    steps = [item.step for item in plan_of(packages="ok", fabric="ok", image="ok", vllm="ok").items]
    text = text_of(show_undo(make_undo(steps, facts_of(steps), frozenset(Layer)), UNICODE))
    assert [line for line in text.splitlines() if not line.startswith(" ")] == [
        "workload",
        "image",
        "host",
        "",
        "Plan: 6 to remove.",
    ]
    assert "  - vllm      spark-1, spark-2  remove vllm\n" in text


def test_ascii_has_nothing_else() -> None:
    made = plan_of(fabric="drifted", image="ok", vllm="blocked")
    assert text_of(show_plan(made, ASCII, verbose=True)).isascii()


@given(width=st.integers(40, 200), summary=st.text(max_size=300), difference=st.text(max_size=300))
def test_no_line_is_wider_than_the_terminal_and_none_steers_it(width: int, summary: str, difference: str) -> None:
    step = FakeStep(
        World({"fabric@spark-1": "drifted"}),
        "fabric",
        "spark-1",
        Layer.HOST,
        actions=(summary,),
        differences=(difference,),
        detail=summary,
    )
    text = text_of(show_plan(make_plan([step], facts_of([step])), UNICODE, verbose=True), width)
    from rich.cells import cell_len

    assert all(cell_len(line) <= width for line in text.split("\n"))
    assert not any((ord(c) < 32 and c != "\n") or ord(c) in range(127, 160) for c in text)


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_folded_text_hangs_under_itself(glyphs: Glyphs) -> None:
    step = FakeStep(World(), "image", "spark-1", Layer.IMAGE, actions=("pull " + "word " * 30,))
    rows = text_of(show_plan(make_plan([step], facts_of([step])), glyphs), 80).splitlines()
    start = rows[1].index("pull")
    assert all(row[: start + 2].isspace() and row[start + 2] == "w" for row in rows[2:-2])


def test_plan_data_says_what_each_finding_says() -> None:
    made = plan_of(fabric="drifted", image="blocked", vllm="pending", packages="ok")
    data = plan_data(made)
    items = {item["id"]: item for item in data["items"]}
    assert data["summary"] == {"create": 0, "change": 1, "later": 2, "blocked": 1, "unchanged": 2}
    assert data["summary"] == vars(count(made))
    assert items["packages@spark-1"]["finding"] == "ok"
    assert items["fabric@spark-1"]["differences"] == ("MTU is 1500, wished 9000",)
    assert items["fabric@spark-1"]["actions"] == [{"summary": "make fabric", "detail": ""}]
    assert items["image@spark-1"]["fix"] == "move image"
    assert items["vllm@spark-2"]["on"] == "image@spark-1"


def test_every_finding_is_plain_data() -> None:
    """What explains a difference is an action, and no JSON."""
    step = FakeStep(World(), "vllm", "spark-1", Layer.WORKLOAD)
    action = Run("look", ("true",))
    drifted = Drifted(("exited",), (action,), evidence=(action,))
    for finding in (Ok("fine"), Absent((action,)), drifted, Pending("image@spark-1"), Blocked("in the way", "move")):
        assert json.loads(json.dumps(item_data(Item(step, finding))))["id"] == "vllm@spark-1"
