"""Which models see, by their config.json: those that this repository knows, and the vision models of the hub."""

import json
from pathlib import Path
from typing import Any

import pytest

from sparkctl.model_abilities import can_see

KNOWN = sorted((Path(__file__).parent / "data" / "models").glob("*.json"))
SEEING = {"gemma-3-27b", "llama-4-scout"}


@pytest.mark.parametrize("path", KNOWN, ids=lambda path: path.stem)
def test_every_model_that_is_known_here_is_told(path: Path) -> None:
    assert can_see(json.loads(path.read_text())["config"]) is (path.stem in SEEING)


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "phi4mm", "architectures": ["Phi4MMForCausalLM"], "img_processor": None},
        {
            "model_type": "phi3_v",
            "architectures": ["Phi3VForCausalLM"],
            "img_processor": {"name": "clip_vision_model"},
        },
        {"model_type": "qwen2_5_vl", "vision_config": {"depth": 32}},
        {"model_type": "qwen2_5_omni", "thinker_config": {"vision_config": {"depth": 32}}},
        {"model_type": "qwen", "visual": {"layers": 48}},
        {"model_type": "llava", "vision_config": {"model_type": "clip_vision_model"}},
        {"model_type": "llava_llama", "mm_vision_tower": "openai/clip-vit-large-patch14-336"},
        {"model_type": "mllama", "vision_config": {"model_type": "mllama_vision_model"}},
        {"model_type": "mistral3", "vision_config": {"model_type": "pixtral"}},
        {"model_type": "internvl_chat", "vision_config": {"model_type": "intern_vit_6b"}},
        {"model_type": "chatglm", "vision_config": {"hidden_size": 1792}},
        {"model_type": "molmo"},
    ],
    ids=lambda config: str(config["model_type"]),
)
def test_models_of_the_hub_that_see(config: dict[str, Any]) -> None:
    assert can_see(config) is True


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"model_type": "somebodys_own", "architectures": ["SomebodysForCausalLM"]},
        {"model_type": "qwen2_audio", "audio_config": {}},
        {"model_type": None, "vision_config": None},
    ],
)
def test_what_a_config_does_not_tell_is_unknown(config: dict[str, Any]) -> None:
    assert can_see(config) is None
