"""Shell completion: scripts for bash, zsh and fish, and the answers that they ask for.

Typer's own would import rich for every answer; these hand over the words as arguments, which needs no quoting.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer._click.shell_completion import CompletionItem, ShellComplete

from sparkctl.cli.common import new_app, none_of

VARIABLE = "_SPARKCTL_COMPLETE"
"""Set to the name of a shell, it makes sparkctl answer with completions of its last argument."""

BASH = """\
_sparkctl() {
    local IFS=$'\\n'
    COMPREPLY=($(_SPARKCTL_COMPLETE=bash "$1" "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _sparkctl sparkctl
"""

ZSH = """\
#compdef sparkctl
_sparkctl() {
    local -a found
    found=("${(@f)$(_SPARKCTL_COMPLETE=zsh "${words[1]}" "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then _describe sparkctl found; else _files; fi
}
if [[ "${funcstack[1]}" = "_sparkctl" ]]; then _sparkctl "$@"; else compdef _sparkctl sparkctl; fi
"""

FISH = """\
function __sparkctl
    set -l words (commandline -opc) (commandline -ct)
    _SPARKCTL_COMPLETE=fish $words[1] $words[2..] 2>/dev/null
end
complete --command sparkctl --no-files --condition "__sparkctl | string length -q" --arguments "(__sparkctl)"
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}

app = new_app(help="Print the completion script of a shell.")


@app.command()
def completion(
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="The shell.", autocompletion=lambda: SCRIPTS)],
    install: Annotated[bool, typer.Option("--install", help="Write it where the shell finds it.")] = False,
) -> int:
    """Print the completion script of a shell: source <(sparkctl completion bash)."""
    if shell not in SCRIPTS:
        raise none_of("SHELL", shell, SCRIPTS)
    print(install_script(shell) if install else SCRIPTS[shell], end="")
    return 0


def install_script(shell: str) -> str:
    """Write the script into the user's folder for that shell; edits no file. Returns what is left to do."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    places = {
        "bash": (data / "bash-completion" / "completions" / "sparkctl", "needs the package bash-completion"),
        "zsh": (data / "zsh" / "site-functions" / "_sparkctl", "its folder must be in fpath before compinit runs"),
        "fish": (config / "fish" / "completions" / "sparkctl.fish", "nothing else is needed"),
    }
    path, hint = places[shell]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SCRIPTS[shell], encoding="utf-8")
    return f"wrote {path} ({hint}); open a new shell to use it\n"


class _Shell(ShellComplete):
    """The words come as arguments: the last one is to be completed."""

    source_template = ""
    words: Sequence[str] = ()

    def source_vars(self) -> dict[str, str]:
        return {}

    def get_completion_args(self) -> tuple[list[str], str]:
        return list(self.words[:-1]), self.words[-1] if self.words else ""

    def format_completion(self, item: CompletionItem) -> str:
        return str(item.value)


class _Zsh(_Shell):
    def format_completion(self, item: CompletionItem) -> str:
        value = str(item.value).replace(":", "\\:")
        return f"{value}:{item.help}" if item.help else value


class _Fish(_Shell):
    def format_completion(self, item: CompletionItem) -> str:
        return f"{item.value}\t{item.help or ''}"


def answer(shell: str, words: Sequence[str]) -> str:
    """The completions of the last word, one a line, with their help where that shell shows it."""
    from sparkctl.cli.app import app as sparkctl

    kind = {"zsh": _Zsh, "fish": _Fish}.get(shell, _Shell)
    asked = kind(typer.main.get_command(sparkctl), {}, "sparkctl", VARIABLE)
    asked.words = words
    return asked.complete()
