"""What a model can do, told by its config.json before it is loaded. Both halves of sparkctl import this module."""

from collections.abc import Mapping
from typing import Any

VISION_KEYS = (
    "vision_config",  # Llava, Qwen-VL since 2, Gemma 3, Mllama, Pixtral, InternVL, Idefics, GLM-4V, Mistral 3.1, ...
    "mm_vision_tower",  # Llava as its authors wrote it
    "visual",  # Qwen-VL 1
    "img_processor",  # Phi-3-vision, Phi-4-multimodal
    "visual_tokenizer_config",  # Ovis
)
"""Members that a config.json has where a part of the model sees."""
NESTED = ("thinker_config", "llm_config")
"""Members in which some models keep the configuration of what answers."""
SEEING = frozenset({"phi3_v", "phi4mm", "phi4_multimodal", "fuyu", "molmo", "chameleon", "minicpmv", "minicpmo"})
"""Values of `model_type` that see, whatever else their config.json says."""
_WORDS = """
apertus arcee baichuan bloom codegen cohere cohere2 dbrx deepseek deepseek_v2 deepseek_v3 ernie4_5 ernie4_5_moe
exaone exaone4 falcon falcon_h1 falcon_mamba gemma gemma2 gemma3_text glm glm4 glm4_moe gpt2 gpt_bigcode
gpt_neox gpt_oss gptj granite granitemoe granitemoehybrid hunyuan_v1_dense hunyuan_v1_moe internlm internlm2
internlm3 jamba kimi_k2 lfm2 llama llama4_text mamba mamba2 minicpm minicpm3 minimax minimax_m1 mistral mixtral
mpt nemotron nemotron-nas nemotron_h olmo olmo2 olmo3 olmoe opt phi phi3 phi3small phimoe qwen qwen2 qwen2_moe
qwen3 qwen3_moe qwen3_next seed_oss smollm3 solar stablelm starcoder2 xverse
"""
TEXT_ONLY = frozenset(_WORDS.split())
"""Values of `model_type`, those of the models themselves, whose chat models read text alone."""


def can_see(model_config: Mapping[str, Any]) -> bool | None:
    """Whether a model takes images, by its config.json; None where that does not tell."""
    if _has_vision(model_config) or any(_has_vision(_part(model_config, name)) for name in NESTED):
        return True
    kind = str(model_config.get("model_type"))
    if kind in SEEING:
        return True
    return False if kind in TEXT_ONLY else None


def _has_vision(config: Mapping[str, Any]) -> bool:
    return any(config.get(key) for key in VISION_KEYS)


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = config.get(name)
    return part if isinstance(part, Mapping) else {}
