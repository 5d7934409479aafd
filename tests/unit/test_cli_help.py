"""Help and completion: complete, and quick because they import next to nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sparkctl.cli.app import COMMANDS, SECTIONS, load_command
from sparkctl.cli.complete_nodes import COMPONENTS, LAYERS
from sparkctl.cli.completion import SCRIPTS, answer
from sparkctl.core.step import Layer

COSTLY = (
    *("asyncio", "cryptography", "docker", "dotenv", "fabric", "invoke", "jinja2", "openai"),
    *("paramiko", "pydantic", "pydantic_settings", "requests", "rich", "urllib3", "yaml"),
)
"""Modules that cost over 20 ms, or pull in those that do."""

PROBE = """
import runpy, sys
sys.argv = ["sparkctl", *sys.argv[1:]]
try:
    runpy.run_module("sparkctl", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
print("LOADED", *sorted({name.partition(".")[0] for name in sys.modules} & set(COSTLY)))
"""


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def run(*argv: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **env}
    return subprocess.run([sys.executable, *argv], capture_output=True, text=True, cwd=cwd, env=environ, timeout=60)


def loaded(*argv: str, cwd: Path | None = None, **env: str) -> tuple[list[str], str]:
    """The costly modules that a command line loads, and its output."""
    result = run("-c", f"COSTLY = {COSTLY}\n{PROBE}", *argv, cwd=cwd, **env)
    assert result.returncode == 0, result.stderr
    output, _, modules = result.stdout.partition("LOADED")
    return modules.split(), output


def test_version_imports_nothing_of_ours_but_the_version() -> None:
    code = "import sys; sys.argv = ['sparkctl', '--version']; import sparkctl.__main__ as m\n"
    code += "try: m.main()\nexcept SystemExit as end: assert not end.code\n"
    code += "print([name for name in sys.modules if name.startswith(('sparkctl', 'typer', 'os.path', 're'))])"
    lines = run("-I", "-S", "-c", f"import sys; sys.path.insert(0, '.'); {code}", cwd=ROOT).stdout.splitlines()
    assert lines[0].startswith("sparkctl 0.")
    assert "typer" not in lines[1]
    assert "'re'" not in lines[1]
    assert "sparkctl.cli" not in lines[1]


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("argv", [["--help"], [], ["up", "--help"], ["status", "-h"], ["lab", "--help"]])
def test_help_loads_nothing_costly(argv: list[str]) -> None:
    modules, output = loaded(*argv)
    assert modules == []
    assert output.startswith("Usage: sparkctl")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_with_help_and_json_manners(name: str) -> None:
    modules, output = loaded(name, "--help")
    assert modules == []
    assert f"Usage: sparkctl {name}" in output
    assert "--install-completion" not in output, "belongs to the top level only"
    assert load_command(name).name == name


def test_sections_follow_the_order_of_work() -> None:
    _, output = loaded("--help")
    places = [output.index(f"\n{title}:\n") for title in SECTIONS]
    assert places == sorted(places)
    assert [*COMMANDS][:4] == ["init", "config", "profile", "fit"]
    assert all(f"  {name} " in output for name in COMMANDS)


@pytest.mark.parametrize("shell", SCRIPTS)
def test_completion_loads_nothing_costly(shell: str) -> None:
    modules, output = loaded("s", _SPARKCTL_COMPLETE=shell)
    assert modules == []
    assert [line.split("\t")[0].split(":")[0] for line in output.split("\n") if line] == [
        "setup",
        "status",
        "stop",
        "ssh",
    ]


def test_completion_of_nodes_reads_the_env_files(tmp_path: Path) -> None:
    (tmp_path / "unified-config.env").write_text("HEAD_NODE_NAME=boss\nWORKER_IPS=192.168.100.11,192.168.100.12\n")
    modules, output = loaded("logs", "--node", "", cwd=tmp_path, _SPARKCTL_COMPLETE="bash", PYTHONPATH=str(ROOT))
    assert output.split() == ["boss", "spark-2", "spark-3"]
    assert {*modules} <= {"dotenv"}


@pytest.mark.parametrize(
    ("profile", "found"),
    [
        ("lab", "sim-1"),
        ("lab-vm", "sim-1"),
        ("mine", "sim-1"),
        ("./profiles/mine.yaml", "sim-1"),
        ("stacked", "boss"),
    ],
)
def test_completion_of_nodes_knows_which_profiles_mean_the_lab(tmp_path: Path, profile: str, found: str) -> None:
    (tmp_path / "unified-config.env").write_text("HEAD_NODE_NAME=boss\nWORKER_NODE_IP=\n")
    for path, text in {
        "lab/sparklab/lab.env": "HEAD_NODE_NAME=sim-1\n",
        "profiles/mine.yaml": "where: 'lab' # \n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    env = {"SPARKCTL_LAB_HOME": str(tmp_path / "lab"), "_SPARKCTL_COMPLETE": "bash", "PYTHONPATH": str(ROOT)}
    modules, output = loaded("logs", "--profile", profile, "--node", "", cwd=tmp_path, **env)
    assert output.split() == [found]
    assert {*modules} <= {"dotenv"}
    _, output = loaded("logs", "--node", "", cwd=tmp_path, SPARKCTL_PROFILE=profile, **env)
    assert output.split() == [found]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["up", "--until", ""], list(LAYERS)),
        (["logs", "ray"], ["ray-head", "ray-worker"]),
        (["up", "--profile", "stac"], ["stacked"]),
        (["up", "--ti"], ["--timings"]),
        (["completion", "z"], ["zsh"]),
    ],
)
def test_completion_answers(words: list[str], found: list[str]) -> None:
    assert answer("bash", words).split() == found


def test_names_that_completion_knows_are_the_real_ones() -> None:
    assert tuple(Layer) == LAYERS
    source = "".join(path.read_text() for path in (ROOT / "sparkctl/engines").glob("*.py") if path.stem != "registry")
    assert all(f'"{name}"' in source for name in COMPONENTS)


BASH = 'source <({0} completion bash); COMP_WORDS=(sparkctl st); COMP_CWORD=1; _sparkctl {0}; echo "${{COMPREPLY[@]}}"'
ZSH = """
autoload -U compinit; compinit -D; source <({0} completion zsh)
words=({0} st); CURRENT=2
_describe() {{ print -l "${{(@P)2}}"; }}
_sparkctl
"""
FISH = "{0} completion fish | source; complete --do-complete 'sparkctl st'"


@pytest.mark.parametrize(("shell", "script"), [("bash", BASH), ("zsh", ZSH), ("fish", FISH)])
def test_scripts_work_in_real_shells(shell: str, script: str, tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"no {shell} on this machine")
    command = tmp_path / "sparkctl"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m sparkctl "$@"\n')
    command.chmod(0o755)
    environ = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
    }
    script = script.format("sparkctl")
    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, env=environ, cwd=tmp_path, timeout=60)
    assert "status" in done.stdout, done.stderr
    assert "stop" in done.stdout
    assert "plan" not in done.stdout


def test_install_writes_its_own_file_and_no_other(tmp_path: Path) -> None:
    for shell in SCRIPTS:
        done = run(
            "-m", "sparkctl", "--install-completion", shell, HOME=str(tmp_path), XDG_DATA_HOME="", XDG_CONFIG_HOME=""
        )
        assert done.returncode == 0, done.stderr
        assert "wrote" in done.stdout
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {
        ".local/share/bash-completion/completions/sparkctl",
        ".local/share/zsh/site-functions/_sparkctl",
        ".config/fish/completions/sparkctl.fish",
    }
