"""`python3 -m keeper watch | commit UNIT | restore UNIT WHY | forget UNIT`."""

import sys

from .records import Failure
from .unit import Unit
from .watch import watch


def main(words: list[str]) -> int:
    """Do one thing for sparkctl, or watch for ever."""
    verb, *rest = words
    try:
        if verb == "watch":
            watch()
        elif verb == "commit":
            Unit(*rest).commit()
        elif verb == "restore":
            name, why = rest
            Unit(name).restore(why)
        elif verb == "forget":
            Unit(*rest).forget()
    except Failure as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
