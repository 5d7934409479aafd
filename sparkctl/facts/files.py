"""Files of a node that only root may read: what they say, by their hashes, and their modes."""

import hashlib
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from sparkctl.facts.probe import Answer, Probe


@dataclass(frozen=True)
class FileFact:
    """One file: `mode` is octal text such as 440, `sha256` hexadecimal."""

    mode: str
    sha256: str

    def says(self, text: str) -> bool:
        """Whether that is its content."""
        return self.sha256 == hashlib.sha256(text.encode()).hexdigest()


def files_probe(name: str, paths: Iterable[str]) -> Probe[dict[str, FileFact]]:
    """Look at files, by path; those that are missing are left out. Probes of other files have another `name`."""
    script = f"""\
for file in {shlex.join(paths)}; do
  as_root test -f "$file" || continue
  echo "$(as_root stat -c %a "$file") $(as_root cat "$file" | sha256sum | cut -c1-64) $file"
done
exit 0
"""
    return Probe(f"files:{name}", script, _files)


def _files(answer: Answer) -> dict[str, FileFact]:
    rows = (line.split(" ", 2) for line in answer.stdout.splitlines())
    return {row[2]: FileFact(row[0], row[1]) for row in rows if len(row) == 3}
