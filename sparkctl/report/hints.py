"""Hints that name the deployment that they are about: a command without its profile would be about another one."""

import re

_VERBS = (
    "up|plan|status|test|logs|stop|down|doctor|credentials|ssh|history|rollback|setup|fit|gpu-stats"
    "|(?:bench|export|image|model|role) \\w+|config (?:show|validate)"
)
_COMMAND = re.compile(rf"\bsparkctl (?:{_VERBS})\b(?! --(?:profile|env))")


def naming(text: str, again: str) -> str:
    """The text with `again`, options that name the deployment, behind the verb of every command in it."""
    return _COMMAND.sub(lambda command: command[0] + again, text)
