"""Hash the files of one model in a Hugging Face cache and tell which are not what their names say.

A blob's name is its hash: SHA-256 (64 digits) for what the hub keeps in its large file store, git's SHA-1 of a blob
(40 digits) for the rest. Reads a job as JSON from argv[1]: folder (the model's, in the cache), files (what the hub
listed, by commit: name to size in bytes; may be empty), workers (files hashed at a time). Prints one JSON object a
line: {"total": bytes}, {"done": bytes}, then {"files": count, "bytes": bytes, "unchecked": count, "bad": [{"file",
"commit", "blob", "why"}]}; `why` is corrupt, cut, missing or unreadable; unchecked: files without a hash for a name.
It changes nothing.
"""

import hashlib
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

CHUNK = 1 << 22
SAY_SECONDS = 0.5
HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


class Watch:
    """Adds up the bytes that were read, and says the sum now and then."""

    def __init__(self) -> None:
        self._lock, self._done, self._said = threading.Lock(), 0, 0.0

    def add(self, count: int) -> None:
        """Some more of any file."""
        with self._lock:
            self._done += count
            if time.monotonic() - self._said > SAY_SECONDS:
                self._said = time.monotonic()
                say(done=self._done)


def say(**words: object) -> None:
    """One line of the answer."""
    print(json.dumps(words), flush=True)


def fault_of(blob: Path, see: Callable[[int], None]) -> str:
    """What is wrong with a blob, by its name; empty where nothing is, or where the name is no hash."""
    if not blob.exists():
        return "missing"
    if not HASH.fullmatch(blob.name):
        return ""
    try:
        header = b"blob %d\0" % blob.stat().st_size
        sha = hashlib.sha256() if len(blob.name) == 64 else hashlib.sha1(header, usedforsecurity=False)
        with blob.open("rb") as file:
            while data := file.read(CHUNK):
                sha.update(data)
                see(len(data))
    except OSError:
        return "unreadable"
    return "" if sha.hexdigest() == blob.name else "corrupt"


def entries(snapshots: Path) -> Iterator[tuple[str, str, str]]:
    """(commit, file, blob) of every file of every revision; blob is empty where a file lies there itself."""
    for path in snapshots.rglob("*"):
        if path.is_symlink() or path.is_file():
            commit, *rest = path.relative_to(snapshots).parts
            yield commit, "/".join(rest), path.readlink().name if path.is_symlink() else ""


def unlike(snapshots: Path, listed: dict[str, dict[str, int]]) -> Iterator[tuple[str, str, str]]:
    """(commit, file, fault) of what the hub listed and a revision lacks, or has with another size."""
    for commit, sizes in listed.items():
        for name, size in sizes.items():
            path = snapshots / commit / name
            if not path.exists():
                yield commit, name, "missing"
            elif path.stat().st_size != size:
                yield commit, name, "cut"


def main(job: dict[str, Any]) -> None:
    """Check one model."""
    folder, watch = Path(job["folder"]), Watch()
    every = list(entries(folder / "snapshots"))
    found = [entry for entry in every if entry[2]]
    blobs = sorted({blob for _, _, blob in found})
    paths = [folder / "blobs" / blob for blob in blobs]
    total = sum(path.stat().st_size for path in paths if path.exists())
    say(total=total)
    with ThreadPoolExecutor(job["workers"]) as pool:
        faults = dict(zip(blobs, pool.map(partial(fault_of, see=watch.add), paths), strict=True))
    bad = {(commit, file): (blob, faults[blob]) for commit, file, blob in found if faults[blob]}
    of_file = {(commit, file): blob for commit, file, blob in found}
    for commit, file, why in unlike(folder / "snapshots", job["files"]):
        bad[commit, file] = (of_file.get((commit, file), ""), why)
    rows = [{"file": key[1], "commit": key[0], "blob": bad[key][0], "why": bad[key][1]} for key in sorted(bad)]
    unchecked = sum(1 for _, _, blob in every if not HASH.fullmatch(blob))
    say(files=len(every), bytes=total, unchecked=unchecked, bad=rows)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
