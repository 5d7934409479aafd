"""How many numbers the weights of a model are, from the sizes that its config.json names.

Biases, norms and routers of a few thousand numbers a layer are left out: they are less than a thousandth of a model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sparkctl.memory.attention import FULL, LINEAR, MIXTURE, MLP, SLIDING, Attention
from sparkctl.memory.reader import Reader
from sparkctl.memory.shape import Mixture, Parameters

_GPT = ("gpt2", "gpt_neox", "gptj", "gpt_bigcode", "codegen")
_UNGATED = frozenset((*_GPT, "opt", "bloom", "falcon", "mpt", "phi", "starcoder2", "nemotron", "nemotron_h"))
"""Families whose MLP has two matrices; those of all others have a third, the gate."""


@dataclass(frozen=True)
class Experts:
    """The mixture layers: `count` experts of `inner` numbers each, and shared ones of `shared` numbers together.

    `wide` is what goes into an expert: the hidden size, or a smaller one into which it is projected.
    """

    count: int
    wide: int
    inner: int
    shared: int
    layers: int


def count_parameters(
    reader: Reader, kind: str, hidden: int, attention: Attention, vision: int
) -> tuple[Parameters, Mixture]:
    """The parameters by kind, and the experts among them; problems go to the reader."""
    vocabulary = reader.count("vocab_size", "padded_vocab_size")
    tables = vocabulary * hidden * (1 if reader.values.get("tie_word_embeddings") is True else 2)
    inner = reader.count("intermediate_size_mlp", "intermediate_size", "n_inner", "ffn_dim", default=4 * hidden)
    matrices = 2 if kind in _UNGATED else 3
    kinds = attention.kinds
    experts = _experts(reader, hidden, kinds)
    layers = kinds.count(FULL) + kinds.count(SLIDING)
    dense = (kinds.count(MLP) if {MLP, MIXTURE} & {*kinds} else len(kinds) - experts.layers) * inner
    beside = experts.layers * (experts.shared * hidden * matrices + experts.count * hidden)  # with the router
    rest = hidden * matrices * dense + beside + kinds.count(LINEAR) * _linear(reader, hidden)
    mixture = Mixture(experts.count * experts.layers, hidden, experts.inner)
    each = matrices * experts.wide * experts.inner
    return Parameters(tables, layers * attention.projections, mixture.experts * each, rest, vision), mixture


def count_vision(reader: Reader) -> int:
    """A tower of plain transformer layers; 0 where its config names no sizes, as it is small beside its model."""
    wide = reader.count("hidden_size", "embed_dim", default=0)
    deep = reader.count("num_hidden_layers", "depth", "num_layers", default=0)
    inner = reader.count("intermediate_size", default=4 * wide)
    return deep * wide * (4 * wide + 2 * inner)


def _experts(reader: Reader, hidden: int, kinds: Sequence[str]) -> Experts:
    count = reader.count("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", default=0, least=0)
    if count < 2:
        return Experts(0, 0, 0, 0, 0)
    inner = reader.count("moe_intermediate_size", "expert_intermediate_size", "intermediate_size")
    alone = reader.count("moe_shared_expert_intermediate_size", default=inner)
    shared = reader.count("n_shared_experts", "num_shared_experts", default=0, least=0) * alone
    if not shared:
        shared = reader.count("shared_expert_intermediate_size", default=0, least=0)
    if "interleave_moe_layer_step" in reader.values:  # Llama 4 has one shared expert of an expert's size
        shared = inner
    mixing = kinds.count(MIXTURE) or sum(_mixes(reader, number, len(kinds)) for number in range(len(kinds)))
    return Experts(count, reader.count("moe_latent_size", default=hidden), inner, shared, mixing)


def _mixes(reader: Reader, number: int, layers: int) -> bool:
    """Whether the layer of that number is a mixture."""
    values = reader.values
    listed = values.get("mlp_only_layers")
    if isinstance(listed, list) and number in listed:
        return False
    if number < reader.count("first_k_dense_replace", default=0, least=0):
        return False
    frequency = values.get("moe_layer_freq")
    if isinstance(frequency, list) and len(frequency) == layers:
        return bool(frequency[number])
    step = reader.count("interleave_moe_layer_step", "decoder_sparse_step", "expert_layer_period", default=1)
    offset = reader.count("expert_layer_offset", default=step - 1, least=0)
    return number % step == offset


def _linear(reader: Reader, hidden: int) -> int:
    """A layer with a state in place of a cache: the gated delta net of Qwen3-Next, else a Mamba block."""
    if "mamba_num_heads" in reader.values:
        inner = reader.count("mamba_num_heads") * reader.count("mamba_head_dim", default=64)
        state = reader.count("n_groups", "mamba_n_groups", default=1) * reader.count("ssm_state_size", default=128)
        return hidden * (3 * inner + 2 * state)
    if "linear_num_value_heads" in reader.values:
        values = reader.count("linear_num_value_heads") * reader.count("linear_value_head_dim")
        keys = reader.count("linear_num_key_heads") * reader.count("linear_key_head_dim")
        return hidden * (2 * keys + 3 * values)
    return 3 * hidden * hidden * reader.count("mamba_expand", "expand", default=2)
