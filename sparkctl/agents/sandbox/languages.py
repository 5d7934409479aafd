"""The languages of the sandbox: what a program of each is called, and what runs it. Their toolchains may be absent."""

import shutil
from dataclasses import dataclass

from sparkctl.agents.core.failure import Refused

PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class Language:
    """`command` is followed by the program's path; in a `script`, $0 is that path and $TMPDIR is its folder."""

    suffix: str
    command: tuple[str, ...] = ()
    script: str = ""
    check: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def tool(self) -> str:
        """The program that must be there."""
        return self.command[0] if self.command else self.script.split()[0]

    def argv(self, program: str) -> list[str]:
        """The command that runs the program at that path."""
        return [*self.command, program] if self.command else ["bash", "-c", self.script, program]


LANGUAGES = {
    "python": Language("py", ("python3",), aliases=("python3", "py")),
    "javascript": Language("js", ("node",), check=("node", "--check"), aliases=("js", "node", "nodejs")),
    "bash": Language("sh", ("bash",), check=("bash", "-n"), aliases=("sh", "shell")),
    "typescript": Language("ts", ("tsx",), aliases=("ts",)),
    "go": Language("go", script='go run "$0"', aliases=("golang",)),
    "rust": Language(
        "rs", script='rustc --crate-name program -o "$TMPDIR/program" "$0" && "$TMPDIR/program"', aliases=("rs",)
    ),
    "java": Language("java", ("java",)),
    "c": Language("c", script='cc -o "$TMPDIR/program" "$0" -lm && "$TMPDIR/program"'),
    "c++": Language("cpp", script='c++ -o "$TMPDIR/program" "$0" && "$TMPDIR/program"', aliases=("cpp", "cxx")),
}


def present() -> tuple[str, ...]:
    """The languages whose toolchain is in this image."""
    return tuple(name for name, one in LANGUAGES.items() if shutil.which(one.tool, path=PATH))


def name_of(word: str) -> str:
    """A language's own name, by any that it is known by; empty where it is none of ours."""
    wanted = word.strip().lower()
    return next((name for name, one in LANGUAGES.items() if wanted in (name, *one.aliases)), "")


def find(word: str) -> Language:
    """A language by its name or another that it is known by. Raises Refused, naming those that are here."""
    if (name := name_of(word)) not in (here := present()):
        raise Refused(f"{word[:40]!r} cannot be run here: the sandbox has {', '.join(here)}")
    return LANGUAGES[name]
