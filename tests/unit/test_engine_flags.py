"""Every word that we pass to an engine is one that its documentation knows: the stand-ins refuse any other."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from engine_layouts import LAYOUTS, Layout

from sparkctl.engines.failures import diagnose
from sparkctl.engines.registry import engine
from sparkctl.engines.sglang import OWNED as SGLANG
from sparkctl.engines.trtllm import OWNED as TRTLLM
from sparkctl.engines.trtllm import kv_fraction

STANDIN = Path(__file__).parent.parent / "standins/standin.py"
LAUNCHER = STANDIN.with_name("launcher.py")
FLAGS = json.loads(STANDIN.with_name("flags.json").read_text())
TOOLS = {"sglang.launch_server": "sglang", "trtllm-serve": "trtllm", "mpirun": "mpirun"}
OTHERS = [layout for layout in LAYOUTS if layout.name in ("sglang", "trtllm")]


def parts(words: tuple[str, ...]) -> dict[str, list[str]]:
    """The words of each program in a command line, by the tool whose documentation knows them."""
    found: dict[str, list[str]] = {}
    for word in words:
        if word in TOOLS:
            found[TOOLS[word]] = []
        elif found:
            list(found.values())[-1].append(word)
    return found


@pytest.mark.parametrize("layout", OTHERS, ids=str)
def test_every_flag_is_documented(layout: Layout) -> None:
    extra = {"sglang": "--random-seed", "trtllm": "--tokenizer"}[layout.name]
    changes = tuple(pair for pair in layout.changes if pair[0] != "extra_args")
    known = Layout(layout.name, layout.backend, layout.nodes, (*changes, ("extra_args", (extra, "7"))))
    for service in known.services():
        for tool, words in parts(service.command).items():
            flags = [word for word in words if word.startswith("-")]
            assert {*flags} <= {*FLAGS[tool]["values"], *FLAGS[tool]["switches"]}, tool


@pytest.mark.parametrize("layout", [each for each in LAYOUTS if each.name == "ollama"], ids=str)
def test_every_variable_of_ollama_is_documented(layout: Layout) -> None:
    (service,) = layout.services()
    assert {name for name, _ in service.env if name.startswith("OLLAMA_")} <= {*FLAGS["ollama"]["variables"]}


@pytest.mark.parametrize(
    ("name", "words", "refusal"),
    [
        ("sglang", ["--model-path", "m", "--worker-use-ray"], "unrecognized arguments: --worker-use-ray"),
        ("trtllm-serve", ["m", "--max-seq-len", "8"], "No such option: --max-seq-len"),
        ("mpirun", ["--mca", "a", "b"], "unknown option '--mca'"),
        ("ollama", ["serve", "--port", "1"], "unknown command"),
    ],
)
def test_a_stand_in_refuses_what_is_not(tmp_path: Path, name: str, words: list[str], refusal: str) -> None:
    program = tmp_path / name
    program.write_text((LAUNCHER if name == "mpirun" else STANDIN).read_text())
    (tmp_path / "flags.json").write_text(json.dumps(FLAGS))
    done = subprocess.run([sys.executable, str(program), *words], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert refusal in done.stderr


@pytest.mark.parametrize(("tool", "owned"), [("sglang", SGLANG), ("trtllm", TRTLLM)])
def test_what_is_ours_is_documented_too(tool: str, owned: dict[str, str]) -> None:
    """A flag that is misspelt here would be free for extra_args."""
    known = {flag.replace("_", "-") for flag in (*FLAGS[tool]["values"], *FLAGS[tool]["switches"])}
    assert {flag for flag in owned if flag.startswith("-")} - known <= {"--tp"}


@pytest.mark.parametrize("layout", OTHERS, ids=str)
def test_what_we_set_is_not_a_profiles_to_pass(layout: Layout) -> None:
    ours = {"--log-level", "--max-num-tokens"}
    plain = Layout(layout.name, layout.backend, layout.nodes, tuple(p for p in layout.changes if p[0] != "extra_args"))
    set_here = parts(plain.services()[-1].command)[layout.name]
    flags = {word.replace("_", "-") for word in set_here if word.startswith("--")}
    assert flags - ours <= {*engine(layout.name).OWNED}


REAL = """\
mpirun detected that one or more processes exited with non-zero status, thus causing
the job to be terminated. The first process to do so was:
  Process name: [[9957,1],1]
  Exit code:    3
"""
"""Of Open MPI 4.1.4, when a rank had ended with status 3."""


def test_the_words_of_the_real_launcher_are_known() -> None:
    for words in (REAL, "ORTE was unable to reliably start one or more daemons."):
        known = diagnose(words.splitlines(), engine("trtllm").FAILURES)
        assert known
        assert known.fix.startswith("an MPI rank ended")


@pytest.mark.parametrize(("status", "told"), [(255, "was restarted"), (137, "dmesg")])
def test_a_status_that_is_not_the_engine_s_own_is_explained(status: int, told: str) -> None:
    known = diagnose(["loading", f"vllm ended with status {status} while loading"], engine("vllm").FAILURES)
    assert known and told in known.fix


@pytest.mark.parametrize(
    ("share", "limit", "fraction"), [(0.0, 0.8, 0.5), (0.5, 0.8, 0.6), (0.54, 0.85, 0.674), (0.8, 0.8, 0.01)]
)
def test_weights_and_cache_together_take_what_is_allowed(share: float, limit: float, fraction: float) -> None:
    layout = Layout("trtllm", OTHERS[0].backend, 1, (("weights_share", share), ("gpu_memory_utilization", limit)))
    assert kv_fraction(layout.spec) == fraction
    if share:
        assert share + fraction * (1 - share) <= max(limit, share + 0.01) + 1e-3
