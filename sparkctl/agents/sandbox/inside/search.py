"""Run as a job: lines of the workspace's files that match a regular expression, as `name:line: text`."""

import fnmatch
import json
import os
import re
import stat
import sys

MOST = 200
WIDTH = 200
BYTES = 1024 * 1024


def main() -> int:
    """Search the current folder; 2 for a pattern that is none."""
    asked = json.load(sys.stdin)
    try:
        pattern = re.compile(asked["pattern"])
    except re.error as error:
        print(f"this is no regular expression: {error}")
        return 2
    found = 0
    for folder, folders, names in os.walk("."):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name))  # noqa: PTH118 - a hundred times faster than Path
            if name.startswith(".") or not fnmatch.fnmatch(path, asked["names"] or "*"):
                continue
            found += matches(pattern, path, MOST - found)
            if found >= MOST:
                print(f"and more: only {MOST} are shown")
                return 0
    if not found:
        print("nothing matches")
    return 0


def matches(pattern: "re.Pattern[str]", path: str, most: int) -> int:
    """Print a file's matching lines; how many."""
    count = 0
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return 0
    with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        for number, line in enumerate(file.read(BYTES).splitlines(), 1):
            if count < most and pattern.search(line):
                print(f"{path}:{number}: {line.strip()[:WIDTH]}")
                count += 1
    return count


if __name__ == "__main__":
    sys.exit(main())
