"""The same greedy tokens from every way to run one model, and the switches between them by `up` alone.

One lab in file order: mp on two nodes, then Ray on two nodes, then one node by itself.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from admin import Admin, containers, write_profile
from benches import check_fabric, check_interrupted, check_serve
from machines import TestLab
from openai import OpenAI

pytestmark = pytest.mark.lab

PROMPT = "Two Sparks share one model because"
TOKENS = 24


@dataclass(frozen=True)
class Answer:
    """What the model says greedily: token ids, their log probabilities, the text."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    text: str


@pytest.fixture(scope="module")
def admin(lab: TestLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin[TestLab]]:
    """Starts without containers of the cluster; takes all of them away at the end, on both nodes."""
    somebody = Admin(lab, tmp_path_factory.mktemp("admin"))
    somebody("stop", "--yes")
    yield somebody
    somebody("down", "--purge", "--yes", code=None)


@pytest.fixture(scope="module")
def answers() -> dict[str, Answer]:
    """What each deployment said."""
    return {}


def test_two_ranks_without_ray(admin: Admin[TestLab], answers: dict[str, Answer]) -> None:
    mp = admin.serving(write_profile(admin.home, "mp", engine={"backend": "mp"}))
    mp.json("up", "--yes")
    assert containers(admin.lab).keys() == {"vllm@spark-1", "vllm-rank1@spark-2"}
    assert proofs(mp) == {"health", "key", "token", "reach"}
    answers["mp"] = ask(mp)
    assert len(answers["mp"].ids) == TOKENS
    assert "--distributed-executor-backend mp" in command(admin, "vllm")
    mp("plan", "--exit-code")


def test_two_ranks_over_ray_say_the_same(admin: Admin[TestLab], answers: dict[str, Answer]) -> None:
    """Stands on test_two_ranks_without_ray, whose second rank must go."""
    ray = admin.serving(write_profile(admin.home, "ray", engine={"backend": "ray"}))
    plan = {item["id"]: item for item in ray.json("plan")["items"]}
    assert plan["leftovers@spark-2"]["differences"] == ["vllm-rank1@spark-2 is of another deployment"]
    assert plan["vllm@spark-1"]["finding"] == "drifted"
    ray.json("up", "--yes")
    assert containers(admin.lab).keys() == {"ray-head@spark-1", "ray-worker@spark-2", "vllm@spark-1"}
    assert proofs(ray) == {"ray", "health", "key", "token", "reach"}
    answers["ray"] = ask(ray)
    same(answers["ray"], answers["mp"])
    assert "--distributed-executor-backend ray" in command(admin, "vllm")
    ray("plan", "--exit-code")


def test_auto_chooses_ray_where_the_image_has_it(admin: Admin[TestLab], answers: dict[str, Answer]) -> None:
    """Stands on test_two_ranks_over_ray_say_the_same: what auto wants is there already."""
    ids = containers(admin.lab)
    assert "no changes" in admin("up").out
    assert containers(admin.lab) == ids
    same(ask(admin), answers["ray"])


def test_the_fabric_is_measured(admin: Admin[TestLab]) -> None:
    """Stands on test_auto_chooses_ray_where_the_image_has_it, which serves meanwhile."""
    check_fabric(admin)


def test_the_served_model_is_measured_by_two_clients(admin: Admin[TestLab]) -> None:
    """Stands on test_auto_chooses_ray_where_the_image_has_it."""
    check_serve(admin)


def test_a_bench_that_is_interrupted_leaves_nothing(admin: Admin[TestLab]) -> None:
    """Stands on test_auto_chooses_ray_where_the_image_has_it."""
    check_interrupted(admin)


def test_one_rank_by_itself_says_the_same(admin: Admin[TestLab], answers: dict[str, Answer]) -> None:
    """Stands on test_two_ranks_over_ray_say_the_same, whose Ray must go from the one node that is left."""
    engine = {"backend": "auto", "tensor_parallel": 1}
    one = admin.serving(write_profile(admin.home, "one", nodes=1, engine=engine))
    left = next(item for item in one.json("plan")["items"] if item["id"] == "leftovers@spark-1")
    assert left["differences"] == ["ray-head@spark-1 is of another deployment"]
    one.json("up", "--yes")
    assert [key for key in containers(admin.lab) if key.endswith("@spark-1")] == ["vllm@spark-1"]
    assert admin.lab.head.root("docker", "volume", "ls", "-q") == ""
    assert proofs(one) == {"health", "key", "token", "reach"}
    same(ask(one), answers["mp"])
    one("plan", "--exit-code")


def test_stopping_all_nodes_leaves_no_container(admin: Admin[TestLab]) -> None:
    """Stands on test_one_rank_by_itself_says_the_same: the other node still has its Ray worker."""
    admin("stop", "--yes")
    assert containers(admin.lab) == {}


def ask(admin: Admin[TestLab]) -> Answer:
    """The same request each time, by the stock client to the endpoint that `credentials` names; then streamed."""
    access = admin.json("credentials")
    client = OpenAI(base_url=access["base_url"], api_key=access["api_key"], max_retries=0, timeout=120)
    request: dict[str, Any] = {"model": access["model"], "prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0}
    whole = client.completions.create(**request, logprobs=1, extra_body={"return_token_ids": True})
    pieces = [chunk.choices[0].text for chunk in client.completions.create(**request, stream=True) if chunk.choices]
    choice = whole.choices[0]
    assert "".join(pieces) == choice.text
    assert len(pieces) > 1, "streamed in one piece"
    assert choice.logprobs
    assert choice.logprobs.token_logprobs
    found = [value for value in choice.logprobs.token_logprobs if value is not None]
    return Answer(tuple(choice.model_extra["token_ids"]), tuple(found), choice.text)


def same(left: Answer, right: Answer) -> None:
    """Token for token; two ranks add in another order than one, so probabilities agree to float32's accuracy."""
    assert left.ids == right.ids
    assert left.text == right.text
    assert all(math.isclose(a, b, abs_tol=1e-3) for a, b in zip(left.logprobs, right.logprobs, strict=True))


def proofs(admin: Admin[TestLab]) -> set[str]:
    """The proofs that `sparkctl test` made, all of them passed."""
    document = admin.json("test")
    assert document["passed"]
    return {proof["name"] for proof in document["proofs"]}


def command(admin: Admin[TestLab], service: str) -> str:
    """The command line of a service's container on the head."""
    container = containers(admin.lab)[f"{service}@spark-1"]
    return admin.lab.head.root("docker", "inspect", "-f", '{{join .Config.Cmd " "}}', container)
