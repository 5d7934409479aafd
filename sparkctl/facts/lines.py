"""Reading what probes print: `key=value` lines and numbers, where every answer may be garbage."""


def values(text: str) -> dict[str, list[str]]:
    """The values of each key of `key=value` lines, in order; other lines are left out."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, sign, value = line.partition("=")
        if sign:
            found.setdefault(key.strip(), []).append(value.strip())
    return found


def pairs(text: str) -> dict[str, str]:
    """The last value of each key of `key=value` lines."""
    return {key: all_of_them[-1] for key, all_of_them in values(text).items()}


def number(text: str | None) -> int | None:
    """A whole number of plain decimal digits; None for everything else, `[N/A]` included."""
    word = (text or "").strip()
    return int(word) if word.isascii() and word.isdigit() and len(word) < 20 else None


def quantity(text: str | None, unit: int) -> int | None:
    """A whole number of units, such as 1024 for KiB, in bytes."""
    count = number(text)
    return None if count is None else count * unit


def decimal(text: str | None) -> float | None:
    """A number such as `1763698205.25`; None for everything else."""
    whole, _, rest = (text or "").strip().partition(".")
    if number(whole) is None or (rest and number(rest) is None):
        return None
    return float(f"{whole}.{rest or 0}")
