"""Values of a config.json under whatever name its family gives them, with every problem kept for one error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparkctl.errors import ConfigError, Problem

ABSENT = "not there"
"""What is found where a value lacks."""
LARGEST = 100_000_000
"""Beyond any size or token count of a real model: such a number is nonsense."""


@dataclass
class Reader:
    """Reads one JSON object; `where` is how messages call it."""

    where: str
    values: Mapping[str, Any]
    problems: list[Problem] = field(default_factory=list)

    def count(self, *names: str, default: int | None = None, least: int = 1) -> int:
        """A whole number of at least `least` under the first name that is there; a problem where none is.

        Of a list, which has one for each layer, the largest counts.
        """
        for name in names:
            value = self.values.get(name)
            if value is None:
                continue
            each = value if isinstance(value, list) and value else [value]
            if all(isinstance(one, int) and not isinstance(one, bool) and least <= one <= LARGEST for one in each):
                return int(max(each))
            self.refuse(name, repr(value)[:60], f"a whole number from {least} to {LARGEST}")
            return max(least, 1)
        if default is None:
            self.refuse(names[0], ABSENT, "a whole number")
            return 1
        return default

    def items(self, name: str, length: int) -> tuple[Any, ...]:
        """A list with an entry for each layer; empty where there is none."""
        value = self.values.get(name)
        if value is None or value == []:
            return ()
        if isinstance(value, list) and len(value) == length:
            return tuple(value)
        found = f"{len(value)} entries" if isinstance(value, list) else repr(value)[:60]
        self.refuse(name, found, f"a list of {length} entries, one for each layer")
        return ()

    def refuse(self, name: str, found: str, accepted: str) -> None:
        """Note a problem, once however often it is met."""
        problem = Problem(self.where, name, found, accepted)
        if problem not in self.problems:
            self.problems.append(problem)

    def finish(self) -> None:
        """Raises ConfigError where there was any problem."""
        if self.problems:
            raise refusal(*self.problems)


def refusal(*problems: Problem) -> ConfigError:
    """The error of a config.json that cannot be understood."""
    fix = "look at the file: it must be the config.json of a model in Transformers' format"
    if is_foreign(problems):
        fix += "\nof a family that names its sizes otherwise, engine.weights_gib in the profile says what it takes"
    return ConfigError(problems, place="in the model's config.json", fix=fix)


def is_foreign(problems: Sequence[Problem]) -> bool:
    """Whether nothing is wrong with a config.json but that names lack, as in one of a family that is not known."""
    return all(problem.found == ABSENT for problem in problems)
