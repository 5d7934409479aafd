"""The stack as a whole: what `up` asks of it beside the others, and what is left of it where nothing is served."""

from dataclasses import replace
from typing import get_args

from cli_fakes import cluster_of
from stack import config_of

from sparkctl.config.agents import Platform
from sparkctl.config.profile import Component
from sparkctl.core.plan import id_of
from sparkctl.core.step import Step
from sparkctl.facts.engine import LOOK_SECONDS, PATIENT_SECONDS
from sparkctl.stacks.serving import all_steps, steps


def by_id(found: tuple[Step, ...]) -> dict[str, Step]:
    return {id_of(step): step for step in found}


def scripts(step: Step) -> str:
    return "\n".join(want.probe.script for want in step.wants)


def test_up_waits_longer_for_a_token_than_who_only_watches() -> None:
    """What up confirms by must be as patient as what it acted by: a busy server is neither drift nor a failure."""
    config = config_of(cluster_of())
    watching, acting = by_id(steps(config)), by_id(steps(config, PATIENT_SECONDS))
    assert f"-m {LOOK_SECONDS} " in scripts(watching["serving@spark-1"])
    assert f"-m {PATIENT_SECONDS} " in scripts(acting["serving@spark-1"])


def test_a_stack_that_serves_nothing_asks_nothing_of_a_server_and_is_undone_whole() -> None:
    config = config_of(cluster_of(), ENABLE_VLLM="0")
    ground = by_id(steps(config))
    assert "vllm@spark-1" not in ground
    assert "ports@spark-1" not in ground
    assert ground["host@spark-1"].wish == type(ground["host@spark-1"].wish)("aarch64", skew_s=5)  # type: ignore[attr-defined]
    assert by_id(all_steps(config)).keys() >= by_id(steps(config_of(cluster_of()))).keys()


def test_what_an_engine_of_an_earlier_profile_kept_is_undone_by_one_that_does_not_know_it() -> None:
    """A key that opens the ranks of an MPI job would stay on both nodes, and Ollama's models with it."""
    now = config_of(cluster_of())
    whole = now.profile.model_copy(update={"components": get_args(Component), "agents": Platform()})
    extra = by_id(all_steps(now)).keys() - by_id(steps(replace(now, profile=whole))).keys()
    anywhere = {f"{name}@spark-{rank}" for name in ("secret-mpi-ssh-key", "ollama-store") for rank in (1, 2)}
    assert extra == {*anywhere, "secret-api-key@spark-2"}, "a model of the worker's own answered there"
    profile = now.profile.model_copy(update={"engine": now.profile.engine.model_copy(update={"name": "trtllm"})})
    before = by_id(all_steps(replace(now, profile=profile)))
    assert before["secret-mpi-ssh-key@spark-1"].wanted  # type: ignore[attr-defined]
