"""The proofs of `sparkctl test`, as lines and as data."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sparkctl.prove import Proof
from sparkctl.report.look import Glyphs
from sparkctl.report.page import Line


def show_proofs(proofs: Sequence[Proof], glyphs: Glyphs) -> list[Line]:
    """A line for each proof, and its fix where it failed."""
    lines = []
    width = max((len(proof.name) for proof in proofs), default=0) + 2
    for proof in proofs:
        mark, style = (glyphs.ok, "green") if proof.passed else (glyphs.blocked, "red")
        heads = ((f"{mark} ", style), (proof.name.ljust(width), "bold"))
        lines.append(Line(f"{proof.shows} ({proof.seconds:.1f} s)", heads=heads))
        if proof.fix:
            lines.append(Line(f"try: {proof.fix}", indent=width + 2))
    return lines


def proofs_data(proofs: Sequence[Proof]) -> dict[str, Any]:
    """For --json."""
    return {"passed": all(proof.passed for proof in proofs), "proofs": [asdict(proof) for proof in proofs]}
