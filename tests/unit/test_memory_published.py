"""The planner's sums against published figures: within 5 % of each."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from memory_models import MODELS, Published, published

from sparkctl.memory.checkpoint import Checkpoint
from sparkctl.memory.demand import GIB, Wish, demand, sequence_bytes
from sparkctl.memory.verdict import Room, judge

PAGE = Path(__file__).parents[2] / "docs" / "memory.md"
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


def rows(model: Published) -> Iterator[str]:
    """The model's lines of the table in docs/memory.md."""
    checkpoint, figures, form = model.checkpoint, model.figures, model.checkpoint.shape.format

    def row(what: str, found: float, wished: float, unit: str) -> str:
        return f"| {checkpoint.name} | {what} | {wished:g} {unit} | {found:.4g} {unit} | {found / wished - 1:+.1%} |"

    if wished := figures.get("kib_per_token"):
        yield row("cache of a token", sequence_bytes(checkpoint, Wish(1), 1) / 1024, wished, "KiB")
    for cache in figures.get("cache_gib", ()):
        found = sequence_bytes(checkpoint, Wish(1), cache["tokens"]) / GIB
        yield row(f"cache of {cache['tokens']} tokens", found, cache["gib"], "GiB")
    if wished := figures.get("weights_gb"):
        yield row(f"files, {form.name}", checkpoint.weights(replace(form, padded=False)) / 1e9, wished, "GB")
    for name, wished in figures.get("quantized_gb", {}).items():
        yield row(f"file, {name}", checkpoint.weights(checkpoint.loaded(name)) / 1e9, wished, "GB")
    for load in figures.get("loaded_gib", ()):
        nodes = load["tensor_parallel"]
        found = demand(checkpoint, Wish(1, tensor_parallel=nodes)).weights / GIB
        where = f"loaded, {form.name}, on each of {nodes} nodes" if nodes > 1 else f"loaded, {form.name}"
        yield row(where, found, load["gib"], "GiB")


@EACH
def test_the_page_shows_what_is_computed(model: Published) -> None:
    page = PAGE.read_text()
    missing = [row for row in rows(model) if row not in page]
    assert not missing, "\n".join(missing)


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
