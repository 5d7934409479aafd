"""Lays the variables of the agents over a profile that deploys them; document 1 names a model for each agent."""

from collections.abc import Iterator, Mapping
from typing import Any

from sparkctl.config.agents import Platform
from sparkctl.config.components import switched
from sparkctl.config.profile import Component, Profile
from sparkctl.config.settings import Settings

MODELS: Mapping[str, str] = {
    "supervisor_model": "supervisor",
    "rag_agent_model": "rag",
    "code_agent_model": "coding",
    "image_agent_model": "image",
}
"""Field of Settings that names the model of every agent of a kind."""
KINDS: Mapping[str, str] = {
    "enable_rag_system": "rag",
    "enable_code_generation": "coding",
    "enable_image_understanding": "image",
}
"""Field of Settings that leaves the agents of a kind out where it is 0."""
SWITCHES: Mapping[str, Component] = {"enable_prometheus": "prometheus", "enable_grafana": "grafana"}
PLACES: Mapping[str, tuple[str, ...]] = {
    "agent_backend_port": ("ports", "api"),
    **dict.fromkeys(MODELS, ("agents", "team", "NAME", "model")),
    **dict.fromkeys(KINDS, ("agents", "team")),
    **dict.fromkeys(SWITCHES, ("components",)),
    "milvus_port": ("agents", "milvus_port"),
    "prometheus_port": ("agents", "prometheus_port"),
    "grafana_port": ("agents", "grafana_port"),
}
"""Field of Settings to the place in the profile that it overrides."""


def apply(profile: Profile, settings: Settings) -> Profile:
    """The profile, which deploys agents, with every override that is set and has a place there."""
    for field, places in touched(profile, settings).items():
        value = getattr(settings, field)
        if field in SWITCHES:
            components = switched(profile.components, (SWITCHES[field],), value)
            profile = profile.model_copy(update={"components": components})
        elif field == "agent_backend_port":
            profile = profile.model_copy(update={"ports": profile.ports.model_copy(update={"api": value})})
        else:
            platform = profile.agents or Platform()
            update = _update(platform, field, places, model_named(profile, value) if field in MODELS else value)
            profile = profile.model_copy(update={"agents": platform.model_copy(update=update)})
    return profile


def touched(profile: Profile, settings: Settings) -> dict[str, list[tuple[str, ...]]]:
    """Field of Settings to the places in the profile, which deploys agents, that it changes."""
    found = {field: _places(profile, field, getattr(settings, field)) for field in _given(settings)}
    return {field: places for field, places in found.items() if places}


def notes(profile: Profile, settings: Settings) -> Iterator[str]:
    """What is set and changes nothing."""
    given = _given(settings)
    if "agents" not in profile.components:
        if lost := [field.upper() for field in given if getattr(settings, field) is not False]:
            yield f"without effect: {', '.join(lost)}: no agents are deployed"
        return
    kinds = {agent.kind for agent in (profile.agents or Platform()).team.values()}
    for field in given:
        name, value = field.upper(), getattr(settings, field)
        if field in MODELS and MODELS[field] not in kinds:
            yield f"{name}={value} has no effect: there is no agent of kind {MODELS[field]}"
        elif field in MODELS and not model_named(profile, value):
            yield f"{name}={value} has no effect: that model is not served, and the agent keeps its own"
        elif field in KINDS and value and KINDS[field] not in kinds:
            yield f"{name}=1 adds no agent: write one of kind {KINDS[field]} into agents.team"


def model_named(profile: Profile, word: str) -> str:
    """What an agent calls the model that is meant; empty where none is. The organisation may be left out."""
    placed = {name: one.model for name, one in profile.models.items()}
    for name, model in {**({"": profile.model} if profile.model else {}), **placed}.items():
        called = model.served_name or model.id
        if word in (name, called, model.id, model.id.rpartition("/")[2]):
            return name or called
    return ""


def _given(settings: Settings) -> list[str]:
    return [field for field in PLACES if getattr(settings, field) is not None]


def _places(profile: Profile, field: str, value: Any) -> list[tuple[str, ...]]:
    team = (profile.agents or Platform()).team
    if field in MODELS:
        names = [name for name, agent in team.items() if agent.kind == MODELS[field]]
        return [("agents", "team", name, "model") for name in names] if model_named(profile, value) else []
    if field in KINDS:
        absent = value or all(agent.kind != KINDS[field] for agent in team.values())
        return [] if absent else [PLACES[field]]
    return [PLACES[field]]


def _update(platform: Platform, field: str, places: list[tuple[str, ...]], value: Any) -> dict[str, Any]:
    """What of the platform is another one."""
    team = platform.team
    if field in MODELS:
        given = {place[2]: team[place[2]].model_copy(update={"model": value}) for place in places}
        return {"team": {**team, **given}}
    if field in KINDS:
        return {"team": {name: agent for name, agent in team.items() if agent.kind != KINDS[field]}}
    return {field: value}
