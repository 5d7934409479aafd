"""What a config.json says is understood, and what it cannot mean is refused with every reason, never a traceback."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_models import MODELS, NAMES, config, published

from sparkctl.errors import ConfigError
from sparkctl.memory.checkpoint import Checkpoint, weight_files
from sparkctl.memory.config_json import read_shape, total_size
from sparkctl.memory.demand import Wish, demand
from sparkctl.memory.formats import format_named


def refused(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_shape(text, "org/name/config.json")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found nothing"),
        ("<html>", "no JSON"),
        ("[1]", "a JSON list"),
        ("{}", "hidden_size: not there"),
        ("[" * 100_000, "no JSON"),
        ('{"text_config":' * 900 + "{}" + "}" * 900, "hidden_size: not there"),
        (config("llama-3.1-8b", num_hidden_layers=-32), "num_hidden_layers: -32"),
        (config("llama-3.1-8b", hidden_size="4096"), "hidden_size: '4096'"),
        (config("llama-3.1-8b", num_hidden_layers=10**7), "at most 2000"),
        (config("llama-3.1-8b", num_key_value_heads=7), "a divisor of the 32 attention heads"),
        (config("gpt-oss-20b", layer_types=["full_attention"]), "a list of 24 entries"),
        (config("llama-3.1-8b", vocab_size=True), "vocab_size: True"),
    ],
)
def test_nonsense_is_refused(text: str, told: str) -> None:
    assert any(told.removeprefix("found ") in problem for problem in refused(text)), refused(text)


def test_all_problems_come_at_once() -> None:
    assert len(refused(config("llama-3.1-8b", hidden_size=0, num_hidden_layers=None, vocab_size=1.5))) == 3


def test_a_problem_is_told_once_however_many_layers_have_it() -> None:
    assert len(refused(config("qwen3-coder-30b-a3b", decoder_sparse_step=0))) == 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=300)
@given(data=st.data(), name=st.sampled_from(NAMES))
def test_no_config_makes_the_reader_break(data: st.DataObject, name: str) -> None:
    """Real files with some values spoilt: an answer or a ConfigError, nothing else."""
    values: dict[str, Any] = json.loads(config(name))
    spoilt = data.draw(st.lists(st.sampled_from(sorted(values)), max_size=3))
    nested = [key for key in spoilt if isinstance(values[key], dict) and values[key]]
    for key in nested:
        values[key][data.draw(st.sampled_from(sorted(values[key])))] = data.draw(VALUES)
    values |= {key: data.draw(VALUES) for key in spoilt if key not in nested}
    try:
        demand(Checkpoint(name, read_shape(json.dumps(values), name)), Wish(1024))
    except ConfigError as error:
        assert error.problems


def stored(name: str, quantization: dict[str, Any] | None) -> tuple[str, float]:
    form = read_shape(config(name, quantization_config=quantization), name).format
    return form.name, round(form.each * 8, 2)


def weights(bits: int, kind: str, group: int | None) -> dict[str, Any]:
    return {"config_groups": {"group_0": {"weights": {"num_bits": bits, "type": kind, "group_size": group}}}}


@pytest.mark.parametrize(
    ("quantization", "name", "bits"),
    [
        (None, "bf16", 16),
        ({"quant_method": "fp8"}, "fp8", 8),
        ({"quant_method": "fbgemm_fp8"}, "fp8", 8),
        ({"quant_method": "mxfp4"}, "mxfp4", 4.25),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "awq", 4.16),
        ({"quant_method": "gptq", "bits": 8, "group_size": 128}, "gptq", 8.19),
        ({"quant_method": "gptq", "bits": 4, "group_size": 32}, "gptq", 4.62),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes", 4.5),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8", 8),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4", 4.5),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, "fp8", 8),
        ({"quant_method": "compressed-tensors", **weights(4, "float", 16)}, "nvfp4", 4.5),
        ({"quant_method": "compressed-tensors", **weights(8, "float", None)}, "fp8", 8),
        ({"quant_method": "compressed-tensors", **weights(4, "int", 128)}, "int4", 4.12),
        ({"quant_method": "compressed-tensors", "config_groups": []}, "compressed_tensors", 0),
        ({"quant_method": "of-tomorrow"}, "of_tomorrow", 0),
    ],
)
def test_formats(quantization: dict[str, Any] | None, name: str, bits: float) -> None:
    assert stored("llama-3.1-8b", quantization) == (name, bits)


def test_an_unknown_format_is_measured_by_its_files_or_refused() -> None:
    shape = read_shape(config("llama-3.1-8b", quantization_config={"quant_method": "of-tomorrow"}), "org/name")
    assert demand(Checkpoint("org/name", shape, 5_000_000), Wish(1)).weights == 5_000_000
    with pytest.raises(ConfigError, match=r"1 problem in the model's config.json"):
        demand(Checkpoint("org/name", shape), Wish(1))


@pytest.mark.parametrize("word", ["Q4_K_M", "q4-k-m", "torch.bfloat16", "awq_marlin", "modelopt_fp4", "FP8"])
def test_names_of_formats(word: str) -> None:
    assert format_named(word).each > 0


def test_unknown_name_of_a_format_has_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        format_named("nvfp5")
    assert "did you mean nvfp4?" in str(caught.value.problems[0])


def test_how_a_model_is_loaded() -> None:
    plain, packed = published("llama-3.1-8b").checkpoint, published("gpt-oss-20b").checkpoint
    wide = Checkpoint(
        "org/name", read_shape(config("llama-3.1-8b", torch_dtype="float32"), "org/name"), 32_000_000_000
    )
    assert plain.loaded("fp8").name == "fp8"
    assert packed.loaded("fp8").name == "mxfp4", "what is stored quantized stays as it is"
    assert wide.loaded().name == "bf16", "an engine loads 32 bit as 16"
    assert wide.loaded(dtype="float32").name == "fp32"
    assert wide.weights(wide.loaded(dtype="float32")) == wide.size


def test_stated_weights_stay_what_they_are() -> None:
    """Of a model without config.json its loaded size is known, whatever it is loaded as."""
    stated = Checkpoint.unknown("org/name", 400)
    for form in (stated.loaded(), stated.loaded("fp8"), stated.loaded(dtype="float32")):
        assert stated.weights(form) == 400


def test_windows_and_attention_by_layer() -> None:
    """Layers by the words of newer files, by the patterns of older ones, and by none."""

    def layers(name: str, **changes: object) -> list[tuple[int, int]]:
        return [(cache.layers, cache.window) for cache in read_shape(config(name, **changes), name).caches]

    assert layers("gpt-oss-20b") == [(12, 0), (12, 128)]
    assert layers("gpt-oss-20b", layer_types=None) == [(24, 128)]
    assert layers("mistral-7b", sliding_window=4096) == [(32, 4096)]
    assert layers("qwen2.5-7b") == [(28, 0)]
    assert layers("qwen2.5-7b", use_sliding_window=True, max_window_layers=20) == [(20, 0), (8, 131072)]
    assert layers("llama-3.1-8b", model_type="gemma2", sliding_window=4096) == [(16, 0), (16, 4096)]
    assert layers("llama-3.1-8b", num_kv_shared_layers=10) == [(22, 0)]
    assert layers("llama-3.1-8b", attn_layer_period=8, attn_layer_offset=4) == [(4, 0)]
    assert layers("llama-3.1-8b", num_hidden_layers=6, hybrid_override_pattern="M-M*-E") == [(1, 0)]
    assert layers("qwen3-next-80b-a3b") == [(12, 0)]
    pattern = [0, 1, 1, 1, 1, 0] * 8
    mixed = {"layer_types": None, "num_hidden_layers": 48, "hybrid_layer_pattern": pattern, "sliding_window": 128}
    assert layers("gpt-oss-20b", **mixed) == [(16, 0), (32, 128)]


def test_a_layer_that_is_one_thing_has_no_other() -> None:
    """Of Nemotron-H: each layer is a Mamba block, attention, an MLP or a mixture, none of them two."""

    def numbers(pattern: str) -> int:
        name = "nemotron-3-nano-30b-a3b"
        changes = {"num_hidden_layers": len(pattern), "hybrid_override_pattern": pattern, "intermediate_size": 10_000}
        shape = read_shape(config(name, **changes), name)
        return shape.parameters.total - shape.parameters.tables

    hidden, base = 2688, numbers("*E-M")
    assert numbers("*E-M*") - base == hidden * 128 * 2 * (32 + 2)
    assert numbers("*E-M-") - base == 2 * hidden * 10_000
    assert numbers("*E-MM") - base == hidden * (3 * 64 * 64 + 2 * 8 * 128)
    assert numbers("*E-ME") - base == 128 * 2 * hidden * 1856 + 2 * hidden * 3712 + 128 * hidden


def test_a_size_for_each_layer_counts_as_the_largest() -> None:
    """As Gemma 3n and Hunyuan write their MLPs; a list with holes is refused."""
    one = read_shape(config("phi-4"), "phi-4").parameters
    assert read_shape(config("phi-4", intermediate_size=[17920] * 39 + [100]), "phi-4").parameters == one
    for nonsense in ([17920, None], [], [17920, "1"], [[17920]]):
        assert any("intermediate_size" in line for line in refused(config("phi-4", intermediate_size=nonsense)))


def test_files_that_an_engine_loads() -> None:
    shards = {f"model-0000{n}-of-00002.safetensors": 10 for n in (1, 2)}
    assert weight_files({**shards, "original/a.safetensors": 7, "consolidated.safetensors": 20, "x.bin": 9}) == 20
    assert weight_files({"pytorch_model.bin": 5, "training_args.bin": 1}) == 5
    assert weight_files({"m-Q4_K_M.gguf": 4, "m-Q8_0.gguf": 8}, quantization="q4_k_m") == 4
    assert weight_files(shards, allow=["*-00001-*"]) == 10
    assert weight_files({"config.json": 1}) == 0


def test_total_size_of_an_index() -> None:
    assert total_size('{"metadata": {"total_size": 12.0}}') == 12
    for nonsense in ("", "[]", "{}", '{"metadata": {"total_size": "12"}}', '{"metadata": 3}'):
        assert total_size(nonsense) == 0


def test_every_public_model_has_weights() -> None:
    assert all(demand(model.checkpoint, Wish(1)).weights for model in MODELS)
