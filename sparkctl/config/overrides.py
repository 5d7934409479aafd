"""Lays the variables of *what* over the profile: document 1 says MODEL where a profile says model.id."""

from collections.abc import Mapping
from typing import Any

from sparkctl.config import agent_overrides
from sparkctl.config.components import switched
from sparkctl.config.profile import Component, Profile
from sparkctl.config.settings import Settings

Place = tuple[str, ...]
PLACES: Mapping[str, Place] = {
    "model": ("model", "id"),
    "tensor_parallel": ("engine", "tensor_parallel"),
    "gpu_memory_util": ("engine", "gpu_memory_utilization"),
    "max_model_len": ("engine", "max_model_len"),
    "vllm_port": ("ports", "api"),
    "ray_port": ("ports", "ray"),
    "ray_dashboard_port": ("ports", "dashboard"),
    "vllm_image": ("image", "ref"),
    "shm_size": ("engine", "shm_gib"),
    "enable_expert_parallel": ("engine", "expert_parallel"),
    "trust_remote_code": ("engine", "trust_remote_code"),
    "load_format": ("engine", "load_format"),
    "nccl_debug": ("engine", "env", "NCCL_DEBUG"),
    "vllm_log_level": ("engine", "env", "VLLM_LOGGING_LEVEL"),
    "extra_args": ("engine", "extra_args"),
    "enable_vllm": ("components",),
    "enable_multi_agent": ("components",),
}
"""Field of Settings to the place in the profile that it overrides."""
SWITCHES: Mapping[str, tuple[Component, ...]] = {
    "enable_vllm": ("vllm",),
    "enable_multi_agent": ("agents", "postgres", "ui"),
}
"""Field of Settings to the components that it adds or leaves out."""
WITH_THE_AGENTS: tuple[Component, ...] = ("prometheus", "grafana", "milvus")
"""Components that go when the agents are left out."""
OF_THE_MODEL: Mapping[Place, Any] = {
    ("model", "revision"): "main",
    ("model", "allow"): (),
    ("model", "served_name"): None,
    ("engine", "weights_gib"): None,
}
"""What the profile says of its own model, and what holds for another one."""


def apply(profile: Profile, settings: Settings) -> Profile:
    """The profile with every override that is set and has a place there."""
    laid = _laid(profile, settings)
    return agent_overrides.apply(laid, settings) if "agents" in laid.components else laid


def touched(profile: Profile, settings: Settings) -> dict[str, list[Place]]:
    """Field of Settings to the places in the profile, as it is written, that it changes."""
    found, laid = _touched(profile, settings), _laid(profile, settings)
    of_agents = agent_overrides.touched(laid, settings) if "agents" in laid.components else {}
    if "agent_backend_port" in of_agents:
        found.pop("vllm_port", None)
    return found | of_agents


def _laid(profile: Profile, settings: Settings) -> Profile:
    updated = profile
    for field, (place, *_) in _touched(profile, settings).items():
        updated = _put(updated, place, _value(updated, settings, field))
    if updated.model and profile.model and updated.model.id != profile.model.id:
        for place, value in OF_THE_MODEL.items():
            updated = _put(updated, place, value)
    return updated


def _touched(profile: Profile, settings: Settings) -> dict[str, list[Place]]:
    lost = homeless(profile, settings)
    found = {field: [PLACES[field]] for field in _given(settings) if field not in lost}
    if profile.model and settings.model not in (None, profile.model.id):
        found["model"] += OF_THE_MODEL
    return found


def homeless(profile: Profile, settings: Settings) -> list[str]:
    """Fields that are set and override what the profile lacks: it places several models, or names no image."""
    return [field for field in _given(settings) if getattr(profile, PLACES[field][0]) is None]


def _given(settings: Settings) -> list[str]:
    return [field for field in PLACES if getattr(settings, field) is not None]


def _value(profile: Profile, settings: Settings, field: str) -> Any:
    if field == "extra_args":
        return (*profile.engine.extra_args, *settings.extra_words())
    if field in SWITCHES:
        on, names = getattr(settings, field), SWITCHES[field]
        also = WITH_THE_AGENTS if "agents" in names and not on else ()
        return switched(profile.components, (*names, *also), on)
    return getattr(settings, field)


def _put(part: Any, place: Place, value: Any) -> Any:
    """A copy of a model or mapping with one value replaced."""
    key, *rest = place
    if isinstance(part, dict):
        return {**part, key: value}
    inner = _put(getattr(part, key), tuple(rest), value) if rest else value
    return part.model_copy(update={key: inner})
