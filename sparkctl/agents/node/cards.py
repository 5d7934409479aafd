"""The graphics cards of this node, as the driver's own program tells."""

import csv
import shutil
import subprocess
from threading import Lock

from sparkctl.agents.node.facts import Gpu

FIELDS = "index,name,utilization.gpu,memory.total,memory.used,temperature.gpu,power.draw"
SECONDS = 3
"""How long the driver may take: less than the web UI waits for the whole look, so that a node whose driver hangs is
not told as one that is silent."""


class Cards:
    """Asks `nvidia-smi`. One that hangs within the driver cannot be killed, so it is asked anew when it has ended."""

    def __init__(self, program: str = "nvidia-smi") -> None:
        self._program, self._lock = program, Lock()
        self._asked: subprocess.Popen[str] | None = None

    def look(self) -> tuple[Gpu, ...]:
        """What the driver says of each card; nothing without a driver, or with one that does not answer."""
        with self._lock:
            printed = self._ask()
        rows = csv.reader(printed.splitlines(), skipinitialspace=True)
        return tuple(_gpu(row) for row in rows if len(row) == len(FIELDS.split(",")) and row[0].strip().isdigit())

    def _ask(self) -> str:
        if shutil.which(self._program) is None or (self._asked and self._asked.poll() is None):
            return ""
        argv = (self._program, f"--query-gpu={FIELDS}", "--format=csv,noheader,nounits")
        quiet = subprocess.DEVNULL
        try:
            self._asked = subprocess.Popen(argv, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, text=True)
        except OSError:
            return ""
        try:
            printed, _ = self._asked.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self._asked.kill()  # and no wait for its end, which may not come
            return ""
        return "" if self._asked.returncode else printed


def _gpu(row: list[str]) -> Gpu:
    figures = [_figure(cell) for cell in row[2:]]
    total, used = (None if one is None else int(one) * 2**20 for one in figures[1:3])
    return Gpu(
        index=int(row[0]),
        name=row[1].strip(),
        utilization_percent=figures[0],
        memory_total_bytes=total,
        memory_used_bytes=used,
        temperature_celsius=figures[3],
        power_watts=figures[4],
    )


def _figure(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:  # [N/A], [Not Supported], [Unknown Error]
        return None
