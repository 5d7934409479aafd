"""What must hold of every verdict, whatever the model and the wish."""

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from memory_models import MODELS, published

from sparkctl.errors import ConfigError
from sparkctl.memory.arithmetic import choices, shortfall, shown
from sparkctl.memory.checkpoint import Checkpoint
from sparkctl.memory.demand import GIB, Wish, demand, sequence_bytes
from sparkctl.memory.verdict import Room, Verdict, judge

CHECKPOINTS = st.sampled_from([model.checkpoint for model in MODELS])
ROOMS = st.builds(
    Room, st.just("spark"), st.integers(20, 500).map(lambda n: n * GIB), st.integers(1, 500).map(lambda n: n * GIB),
    st.integers(0, 20).map(lambda n: n * GIB), st.integers(0, 50).map(lambda n: n * GIB),
)  # fmt: skip
WISHES = st.builds(
    Wish, st.integers(1, 200_000), st.integers(1, 64), st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2]),
    st.floats(0.01, 0.90), st.sampled_from(["auto", "fp8"]), fills=st.booleans(),
)  # fmt: skip
often = settings(max_examples=200)


def verdict(checkpoint: Checkpoint, wish: Wish, *rooms: Room) -> Verdict:
    try:
        return judge(checkpoint, wish, rooms)
    except ConfigError:
        assume(False)
        raise


@often
@given(CHECKPOINTS, WISHES, st.integers(1, 100_000), st.integers(1, 20))
def test_more_tokens_and_more_requests_take_no_less(model: Checkpoint, wish: Wish, tokens: int, requests: int) -> None:
    base = demand(model, wish)
    assert demand(model, replace(wish, max_model_len=wish.max_model_len + tokens)).total >= base.total
    assert demand(model, replace(wish, concurrency=wish.concurrency + requests)).total >= base.total


@often
@given(CHECKPOINTS, WISHES)
def test_more_ranks_take_no_more_of_each(model: Checkpoint, wish: Wish) -> None:
    """Padding of MXFP4 experts grows with the number of slices, so that is left out of what is compared."""
    plain = replace(model, shape=replace(model.shape, format=replace(model.shape.format, padded=False)))
    base = demand(plain, wish)
    assert demand(plain, replace(wish, tensor_parallel=2 * wish.tensor_parallel)).total <= base.total
    assert demand(plain, replace(wish, pipeline_parallel=2 * wish.pipeline_parallel)).total <= base.total


@often
@given(CHECKPOINTS, WISHES, st.integers(2, 4))
def test_replicas_share_experts_and_nothing_else(model: Checkpoint, wish: Wish, replicas: int) -> None:
    one, several = demand(model, wish).weights, demand(model, replace(wish, spread=replicas)).weights
    if not model.shape.mixture.experts:
        assert several == one
    else:
        assert one / replicas < several < one


@often
@given(CHECKPOINTS, WISHES, ROOMS)
def test_what_is_said_to_fit_at_most_fits_and_one_more_does_not(model: Checkpoint, wish: Wish, room: Room) -> None:
    found = verdict(model, wish, room)
    if found.longest:
        assert judge(model, replace(wish, max_model_len=found.longest), (room,)).fits
    if found.longest < model.shape.max_len:
        assert not judge(model, replace(wish, max_model_len=found.longest + 1), (room,)).fits
    if found.most:
        assert judge(model, replace(wish, concurrency=found.most), (room,)).fits
    assert not judge(model, replace(wish, concurrency=found.most + 1), (room,)).fits


@often
@given(CHECKPOINTS, WISHES, ROOMS)
def test_every_choice_fits_and_is_named(model: Checkpoint, wish: Wish, room: Room) -> None:
    found = verdict(model, wish, room)
    for near in found.nearest:
        assert judge(model, near.wish, (room,) * near.nodes).fits
        assert near.change in choices(found)
        assert near.wish.utilization <= 0.90
    assert bool(shortfall(found, found.nodes[0])) is not found.fits
    assert len(shown(found, found.nodes[0])) == 5


@often
@given(CHECKPOINTS, WISHES, ROOMS, st.integers(1, 100))
def test_more_memory_never_hurts(model: Checkpoint, wish: Wish, room: Room, more: int) -> None:
    larger = replace(room, available=room.available + more * GIB)
    assert verdict(model, wish, larger).fits >= verdict(model, wish, room).fits
    assert not verdict(model, wish, replace(room, beside=room.available)).fits


def test_the_smallest_node_decides() -> None:
    model = published("llama-3.1-8b").checkpoint
    large = Room("spark-1", 120 * GIB, 118 * GIB, 10 * GIB)
    small = replace(large, node="spark-2", available=50 * GIB)
    found = judge(model, Wish(8192, tensor_parallel=2), (large, small))
    assert [node.fits for node in found.nodes] == [True, False]
    assert found.nodes[1].short == (10 + 96 - 50) * GIB
    assert found.nearest[0].change == "gpu_memory_utilization 0.33"


@pytest.mark.parametrize(
    ("name", "parts", "told"),
    [
        ("phi-4", 4, "KV heads: 10 heads by tensor parallelism 4"),
        ("qwen2.5-7b", 8, "attention heads: 28 heads by tensor parallelism 8"),
        ("llama-3.1-8b", 3, "attention heads: 32 heads by tensor parallelism 3"),
    ],
)
def test_heads_that_cannot_be_split(name: str, parts: int, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        judge(published(name).checkpoint, Wish(1, tensor_parallel=parts), ())
    assert told in " ".join(map(str, caught.value.problems))


def test_a_window_keeps_what_is_computed_beside_it() -> None:
    """gpt-oss-20b: 12 of 24 layers look 128 tokens back, each layer leaves 2 KiB a token."""
    model = published("gpt-oss-20b").checkpoint
    assert sequence_bytes(model, Wish(1), 100_000) == 12 * 2048 * (100_000 + 127 + 8192)
    assert sequence_bytes(model, Wish(1, prefill=64), 100_000) == 12 * 2048 * (100_000 + 127 + 64)
    assert sequence_bytes(model, Wish(1), 8000) == 24 * 2048 * 8000


def test_kv_heads_are_repeated_where_there_are_fewer_than_gpus() -> None:
    model = published("qwen3-235b-a22b-nvfp4").checkpoint  # four KV heads
    eight = demand(model, Wish(1000, tensor_parallel=8))
    assert eight.kv == demand(model, Wish(1000, tensor_parallel=4)).kv


@pytest.mark.parametrize("share", [0.91, 0.0, -1.0, 2.0])
def test_no_share_beyond_the_limit(share: float) -> None:
    with pytest.raises(ConfigError) as caught:
        judge(published("qwen3-8b").checkpoint, Wish(1, utilization=share), ())
    assert "at most 0.90" in str(caught.value.problems[0])
