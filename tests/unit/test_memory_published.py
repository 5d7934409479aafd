"""The planner's sums against published figures: within 5 % of each."""

from dataclasses import replace

import pytest
from memory_models import MODELS, Published, published

from sparkctl.memory.checkpoint import Checkpoint
from sparkctl.memory.demand import GIB, Wish, demand, sequence_bytes
from sparkctl.memory.verdict import Room, judge

SPARK = Room("spark", round(121.7 * GIB), 118 * GIB, 10 * GIB)
near = pytest.approx
EACH = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)


def test_every_published_load_is_there() -> None:
    assert len(MODELS) >= 22
    for figure in ("parameters_b", "kib_per_token", "weights_gb", "loaded_gib", "quantized_gb", "cache_gib"):
        assert any(figure in model.figures for model in MODELS)


@EACH
def test_parameters(model: Published) -> None:
    assert model.checkpoint.shape.parameters.total / 1e9 == near(model.figures["parameters_b"], rel=0.01)


@EACH
def test_cache_of_a_token(model: Published) -> None:
    """Without windows: of the first token, every layer keeps all."""
    wished = model.figures.get("kib_per_token")
    if wished:
        assert sequence_bytes(model.checkpoint, Wish(1), 1) / 1024 == near(wished, rel=0.01)
        assert sequence_bytes(model.checkpoint, Wish(1, kv_dtype="fp8"), 1) / 1024 == near(wished / 2, rel=0.01)
    for row in model.figures.get("cache_gib", ()):
        assert sequence_bytes(model.checkpoint, Wish(1), row["tokens"]) / GIB == near(row["gib"], rel=0.05)


@EACH
def test_weights_in_files_and_in_memory(model: Published) -> None:
    checkpoint, form = model.checkpoint, model.checkpoint.shape.format
    if size := model.figures.get("weights_gb"):
        assert checkpoint.weights(replace(form, padded=False)) / 1e9 == near(size, rel=0.05)
    for row in model.figures.get("loaded_gib", ()):
        wish = Wish(1, tensor_parallel=row["tensor_parallel"])
        assert demand(checkpoint, wish).weights / GIB == near(row["gib"], rel=0.05)
    for name, gb in model.figures.get("quantized_gb", {}).items():
        assert checkpoint.weights(checkpoint.loaded(name)) / 1e9 == near(gb, rel=0.05)


def test_gpt_oss_120b_fits_one_spark() -> None:
    """By its files, as by its parameters: what is padded is added to what the files hold."""
    by_parameters = published("gpt-oss-120b").checkpoint
    by_files = replace(by_parameters, size=65_300_000_000)
    for checkpoint in (by_parameters, by_files):
        verdict = judge(checkpoint, Wish(32768), (SPARK,))
        assert verdict.fits
        assert 64.4 < verdict.nodes[0].demand.weights / GIB < 66.1
        assert verdict.longest == 131072


def test_405b_awq_fits_two_sparks_with_a_short_context_and_no_single_one() -> None:
    checkpoint = published("llama-3.1-405b-awq").checkpoint
    wish = Wish(2048, tensor_parallel=2, utilization=0.90)
    roomy = replace(SPARK, available=SPARK.total)
    assert judge(checkpoint, wish, (roomy, roomy)).fits
    one = judge(checkpoint, replace(wish, tensor_parallel=1), (roomy,))
    assert not one.fits
    assert one.nodes_needed == 2
    assert one.nearest[-1].nodes == 2


def test_document_5_is_wrong_about_32b_in_12_gb() -> None:
    checkpoint: Checkpoint = published("qwen3-32b-nvfp4").checkpoint
    assert checkpoint.weights(checkpoint.loaded()) > 19e9
