"""Images on the nodes: which is which, who uses it, and what may go."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from caches import DIGEST, A, B, C, cluster_in, container, image

from sparkctl.core.actions import Script
from sparkctl.facts.image import brought_probe
from sparkctl.facts.images import IMAGES
from sparkctl.facts.probe import Answer, Facts
from sparkctl.facts.users import USERS
from sparkctl.inventory import images
from sparkctl.inventory.wishes import Wish, Wishes
from sparkctl.steps.prune import PruneImages
from sparkctl.topology import Cluster, Node, Role

REFERENCE = "registry.example:5000/vllm:1"
WORKER = Node("spark-2", Role.WORKER, "10.0.0.2", "nvidia")
NODES = Cluster("lab", Node("spark-1", Role.HEAD, "10.0.0.1", "nvidia"), (WORKER,), "10.0.0.1")


def answers(found: list[dict[str, Any]] | None, users: str = "", brought: str = "") -> dict[str, Answer]:
    listed = Answer("", 1) if found is None else Answer(json.dumps(found))
    name = brought_probe(NODES, WORKER).name
    return {IMAGES.name: listed, USERS.name: Answer(users), name: Answer(brought)}


HEAD = answers([image(A, REFERENCE, digests=(f"registry.example:5000/vllm@{DIGEST}",))], container("api", image=A), A)


def test_the_api_s_list_and_the_client_s_lines_say_the_same() -> None:
    found = image(A, "a:1", digests=(f"a@{DIGEST}",))
    by_api = IMAGES.parse(Answer(json.dumps([found, image(B, "<none>:<none>")])))
    by_client = IMAGES.parse(Answer(f"{json.dumps(found)}\n{json.dumps(image(B, '<none>:<none>'))}\n"))
    assert by_api == by_client
    assert by_api and [one.tags for one in by_api] == [("a:1",), ()]
    assert IMAGES.parse(Answer("", 3)) is None
    assert IMAGES.parse(Answer("garbage\n[1, {}]")) == ()


@pytest.mark.parametrize(
    ("worker", "same", "ids"),
    [
        ([image(A, REFERENCE)], True, [A, A]),
        ([image(A)], True, [A, A]),  # carried by digest: it has no name there
        ([image(B, REFERENCE)], False, [A, B]),
        ([], False, [A]),
    ],
)
def test_parity_is_by_id(worker: list[dict[str, Any]], same: bool, ids: list[str]) -> None:
    wishes = Wishes((Wish("mine", "org/tiny", "main", REFERENCE),))
    (entry,) = images.take(NODES, wishes, Facts({"spark-1": HEAD, "spark-2": answers(worker)}))
    assert (entry.image, entry.profiles, entry.same) == (REFERENCE, ("mine",), same)
    assert [copy.id for copy in entry.nodes] == ids
    first = entry.nodes[0]
    assert (first.digest, first.containers, first.ours) == (DIGEST, ("api",), True)


def test_what_was_brought_and_is_wished_no_more_is_shown_last() -> None:
    head = answers([image(A, REFERENCE), image(B, "old:1"), image(C, "theirs:1")], brought=f"{A}\n{B}\n")
    worker = answers([image(B)], brought=B)
    wishes = Wishes((Wish("mine", "org/tiny", "main", REFERENCE),))
    found = images.take(NODES, wishes, Facts({"spark-1": head, "spark-2": worker}))
    assert [(entry.image, entry.profiles, len(entry.nodes)) for entry in found] == [
        (REFERENCE, ("mine",), 1),
        ("old:1", (), 2),
    ]


def test_a_tag_and_the_digest_that_it_is_pinned_to_are_one_image() -> None:
    names = (f"registry.example:5000/vllm@{DIGEST}", REFERENCE)
    wishes = Wishes(tuple(Wish(f"p{n}", "org/tiny", "main", name) for n, name in enumerate(names)))
    (entry,) = images.take(NODES, wishes, Facts({"spark-1": HEAD, "spark-2": answers([image(A)])}))
    assert (entry.image, entry.profiles, entry.same) == (REFERENCE, ("p0", "p1"), True)


def pruned(worker: dict[str, Answer], *keep: str) -> list[str]:
    step = PruneImages(NODES, WORKER, frozenset(keep or (REFERENCE,)))
    return [action.summary for action in step.undo(Facts({"spark-1": HEAD, "spark-2": worker}))]


def test_what_was_brought_and_nothing_uses_goes() -> None:
    found = [image(A), image(B, "old:1"), image(C, "theirs:1")]
    assert pruned(answers(found, brought=f"{A}\n{B}\n")) == ["remove old:1: 1.0 GiB"]
    assert pruned(answers(found, brought=f"{A}\n{B}\n"), "old:1") == [f"remove {A[7:19]}: 1.0 GiB"]


@pytest.mark.parametrize("running", [True, False])
def test_what_a_container_stands_on_stays(running: bool) -> None:
    users = container("mine", image=B, running=running)
    assert pruned(answers([image(B, "old:1")], users, B)) == []


def test_nothing_goes_while_docker_is_silent() -> None:
    assert pruned(answers(None, brought=B)) == []
    step = PruneImages(NODES, WORKER, frozenset())
    silent = Facts({"spark-1": answers(None), "spark-2": answers([image(B)], brought=B)})
    assert step.undo(silent) == ()


def test_the_record_forgets_what_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = cluster_in(tmp_path)
    record = Path(cluster.state_dir(cluster.head)) / "images"
    record.parent.mkdir(parents=True)
    record.write_text(f"{A}\n{B}\n")
    called = tmp_path / "called"
    program = tmp_path / "docker"
    program.write_text(f'#!/bin/sh\necho "$@" >>{called}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    step = PruneImages(cluster, cluster.head, frozenset())
    facts = Facts({"spark-1": answers([image(B, "old:1")], brought=B)})
    (action,) = replace(step, keep=frozenset({"other:1"})).undo(facts)
    assert isinstance(action, Script)
    subprocess.run(["bash", "-c", action.text], check=True)
    assert (record.read_text(), called.read_text()) == (f"{A}\n", f"rmi -f {B}\n")
    record.write_text(f"{B}\n")
    subprocess.run(["bash", "-c", action.text], check=True)
    assert not record.exists()
