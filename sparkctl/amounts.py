"""Amounts for people: sizes, durations and rates."""

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(count: float) -> str:
    """Bytes in the largest binary unit that leaves a number of one or more: `1.5 GiB`."""
    for unit in UNITS:
        if abs(count) < 1024 or unit == UNITS[-1]:
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def span(seconds: float) -> str:
    """A duration in its two largest parts: `40 ms`, `2.4 s`, `12 s`, `3 min 04 s`, `2 h 05 min`, `3 d 4 h`."""
    if 0 < seconds < 0.95:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def amount(count: float, unit: str) -> str:
    """A count with its unit; bytes are scaled."""
    return size(count) if unit == "B" else f"{count:g} {unit}".rstrip()


def plural(count: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{count} {noun}{'s' * (count != 1)}"


def figure(value: float) -> str:
    """A measured figure: two decimals, three below one, which is more than a measurement is worth."""
    return f"{value:.{3 if abs(value) < 1 else 2}f}"
