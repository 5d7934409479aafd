"""Lays the variables of *what* over the profile: document 1 says MODEL where a profile says model.id."""

import shlex
from typing import Any

from sparkctl.config.profile import Profile
from sparkctl.config.settings import Settings

PLACES: dict[str, tuple[str, str]] = {
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
}
"""Field of Settings to the place in the profile that it overrides."""
ENVIRONMENT = {"nccl_debug": "NCCL_DEBUG", "vllm_log_level": "VLLM_LOGGING_LEVEL"}
"""Field of Settings to the variable of the engine's containers that it sets."""


def apply(profile: Profile, settings: Settings) -> Profile:
    """The profile with every override that is set."""
    changes: dict[str, dict[str, Any]] = {"engine": {}, "ports": {}, "image": {}}
    for field, (part, key) in PLACES.items():
        if (value := getattr(settings, field)) is not None:
            changes[part][key] = value
    more = {name: value for field, name in ENVIRONMENT.items() if (value := getattr(settings, field)) is not None}
    if more:
        changes["engine"]["env"] = {**profile.engine.env, **more}
    if settings.extra_args:
        changes["engine"]["extra_args"] = (*profile.engine.extra_args, *shlex.split(settings.extra_args))
    if settings.model and settings.model != profile.model.id:
        changes["model"] = {"id": settings.model, "revision": "main", "allow": (), "served_name": None}
        changes["engine"]["weights_gib"] = None
    updated = {part: getattr(profile, part).model_copy(update=values) for part, values in changes.items() if values}
    if settings.enable_vllm is not None:
        updated["components"] = ("vllm",) if settings.enable_vllm else ()
    return profile.model_copy(update=updated)
