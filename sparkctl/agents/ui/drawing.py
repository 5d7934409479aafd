"""Small pictures of figures, as coordinates for SVG."""

from collections.abc import Sequence

WIDTH, HEIGHT = 120, 24
POINTS = 120
"""Looks that a sparkline shows, one pixel each."""


def sparkline(values: Sequence[float | None], most: float) -> str:
    """`points` of a polyline: the newest value at the right edge, `most` at the top; what is not known is left out."""
    if most <= 0:
        return ""
    shown = list(values)[-POINTS:]
    start = WIDTH - len(shown)
    points = [
        f"{start + x + 1},{HEIGHT - 1 - (HEIGHT - 2) * min(max(value / most, 0.0), 1.0):.1f}"
        for x, value in enumerate(shown)
        if value is not None
    ]
    return " ".join(points) if len(points) > 1 else ""
