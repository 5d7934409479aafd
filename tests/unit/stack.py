"""The whole serving stack on a test's own cluster, for tests of its steps."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparkctl.config.load import Config, load
from sparkctl.config.origin import is_secret
from sparkctl.config.setup import Setup
from sparkctl.core.plan import id_of
from sparkctl.core.step import Step
from sparkctl.stacks import setup
from sparkctl.stacks.serving import steps
from sparkctl.topology import Cluster

ENV = {"CONTROL_PLANE_API_IP": "10.0.0.1", "WORKER_NODE_SSH_TARGET": "10.0.0.2", "HEAD_SSH_USER": "nvidia"}


def config_of(cluster: Cluster, **variables: str) -> Config:
    """The shipped profile `stacked` on that cluster; `variables` such as MODEL; secrets come by the environment."""
    flags = {name: value for name, value in variables.items() if not is_secret(name)}
    secrets = {name: value for name, value in variables.items() if is_secret(name)}
    environ = {"HOME": os.environ.get("HOME", "/"), **ENV, **secrets}
    loaded = load("stacked", flags=flags, environ=environ, cwd=Path(__file__).parent)
    return replace(loaded, cluster=cluster)


def stack_of(cluster: Cluster, args: dict[str, Any]) -> tuple[Step, ...]:
    """Every step. `args` are variables, and `engine`, `host`, `store` or `model` with keys of the profile."""
    parts = {key: args[key] for key in ("engine", "host", "store", "model") if key in args}
    variables = {key: str(value) for key, value in args.items() if key not in parts}
    config = config_of(cluster, **variables)
    profile = config.profile
    for part, values in parts.items():
        profile = profile.model_copy(update={part: getattr(profile, part).model_copy(update=values)})
    return steps(replace(config, profile=profile))


def setup_of(cluster: Cluster, args: dict[str, Any]) -> tuple[Step, ...]:
    """Every step of `sparkctl setup`. `args` is what the profile has below `setup:`; `asked` and `password` go by."""
    config, parts = config_of(cluster), {key: value for key, value in args.items() if key not in ("asked", "password")}
    profile = config.profile.model_copy(update={"setup": Setup.model_validate(parts)})
    asked, password = bool(args.get("asked")), str(args.get("password", ""))
    return setup.steps(replace(config, profile=profile), sudoers_asked=asked, password=password)


def step_of(cluster: Cluster, key: str, **args: Any) -> Step:
    """One step by its id."""
    return {id_of(step): step for step in stack_of(cluster, args)}[key]
