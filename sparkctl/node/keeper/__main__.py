"""`python3 -m keeper watch | commit UNIT | restore UNIT WHY | forget UNIT`."""

import sys

from .records import Failure, alone
from .unit import Unit
from .watch import watch


def main(words: list[str]) -> int:
    """Do one thing for sparkctl, or watch for ever."""
    verb, *rest = words
    if verb == "watch":
        watch()
    try:
        with alone():
            ask(verb, *rest)
    except (Failure, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def ask(verb: str, name: str, why: str = "") -> None:
    """One thing of one stack. Raises Failure, OSError."""
    if verb == "commit":
        Unit(name).commit()
    elif verb == "restore":
        Unit(name).restore(why)
    elif verb == "forget":
        Unit(name).forget()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
