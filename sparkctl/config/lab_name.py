"""What a lab may be called. The name becomes a folder, deleted with the lab: checked wherever a name is taken."""

import re

from sparkctl.errors import ConfigError, Problem

_NAME = re.compile(r"[a-z][a-z0-9-]{1,30}")


def problems(name: str, where: str = "lab", what: str = "name") -> tuple[Problem, ...]:
    """What is wrong with the name that `what` of `where` gives, if anything."""
    if is_name(name):
        return ()
    return (Problem(where, what, repr(name), "2 to 31 of a-z, 0-9 and -, starting with a letter"),)


def is_name(name: str) -> bool:
    """Whether a lab can be called that."""
    return bool(_NAME.fullmatch(name))


def check(name: str, where: str = "lab", what: str = "name") -> str:
    """The name itself. Raises ConfigError for one that no lab can have."""
    if wrong := problems(name, where, what):
        raise ConfigError(wrong, fix="--name and SPARKCTL_LAB take the name of a lab, such as sparklab")
    return name
