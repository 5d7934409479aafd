"""The verbs about models and images on fake nodes: what they say, what they refuse, the documents that they print."""

import json
from pathlib import Path
from typing import Any

import pytest
from caches import NEW, OLD, container
from cli_fakes import Cli, small_world
from documents import check_document, own
from test_inventory_images import DIGEST, A, B, image

from sparkctl.cli.complete_nodes import complete_models
from sparkctl.config.lock import NAME
from sparkctl.facts.probe import Answer
from sparkctl.transport.session import Result

CACHE = "/home/spark/.cache/huggingface"
BLOB, LOST, DATA = "1" * 40, "2" * 40, "file=70 models--org--old/blobs/x\n"
LISTING = f"""\
present=yes
file=100 models--org--tiny/blobs/{BLOB}
link=models--org--tiny/snapshots/{NEW}/config.json\t../../blobs/{BLOB}
link=models--org--tiny/snapshots/{NEW}/lost.json\t../../blobs/{LOST}
ref=models--org--tiny/refs/main\t{NEW}
"""
MARKER = f'marker=models--org--tiny@main.json\t{{"commit": "{NEW}", "files": [["config.json", 100]], "ours": true}}\n'
OURS = 'marker=models--org--old@main.json\t{"commit": "", "files": [], "ours": true}\n'
IMAGE = "registry.example/vllm:1"
PROFILE = """\
name: mine
nodes: 2
image: {ref: "registry.example/vllm:1"}
model: {id: org/tiny}
"""
USING = {"mounts": [CACHE], "cluster": "demo", "words": ["serve", "org/tiny"], "image": A}


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    made = Cli(monkeypatch, capsys, tmp_path).use(*small_world())
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/mine.yaml").write_text(PROFILE)
    monkeypatch.setenv("SPARKCTL_PROFILE", "mine")
    answering(made)
    return made


def answering(cli: Cli, **changes: str) -> None:
    """Both nodes say the same: a served model of which a file is lost, an old one, two images."""
    config = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config |= {"intermediate_size": 128, "vocab_size": 1000, "max_position_embeddings": 2048}
    said = {
        "hub-cache": LISTING + DATA,
        "model-ledger": MARKER + OURS,
        "users": container("api", **USING),
        "images": json.dumps(
            [image(A, "registry.example/vllm:1", digests=(f"registry.example/vllm@{DIGEST}",)), image(B)]
        ),
        "images-brought": f"{A}\n{B}\n",
        "model-configs": f"\n@config={NEW}\n{json.dumps(config)}",
        "hub-head": json.dumps({"commit": NEW}),
        "tag": json.dumps({"Descriptor": {"digest": DIGEST}}),
        "dockerd": "",
        **changes,
    }
    for host in cli.hosts.values():
        host.probes = lambda name: Answer(said.get(name.partition(":")[0], ""))


def complete(cli: Cli, *argv: str) -> dict[str, Any]:
    """The document of a command, which has every member that the page names for it."""
    cli(*argv, "--json")
    document = cli.document
    schema, places = check_document(document)
    assert own(schema).keys() - places <= {"unread[]", "mounted.*", "cut[]"}, own(schema).keys() - places
    return document


def test_a_list_says_where_how_large_and_who(cli: Cli) -> None:
    assert cli("model", "list") == 0
    assert cli.out == (
        "org/tiny  (mine)\n"
        "  ~ spark-1  100 B, in use by api\n"
        "      bbbbbbbbbbbb (main): 2 files, 100 B, 1 missing\n"
        "  ~ spark-2  100 B, in use by api\n"
        "      bbbbbbbbbbbb (main): 2 files, 100 B, 1 missing\n"
        "org/old  (no profile)\n"
        "  ~ spark-1  70 B\n"
        "  ~ spark-2  70 B\n"
    )
    assert [host.round_trips for host in cli.hosts.values()] == [1, 1]
    assert [m["model"] for m in complete(cli, "model", "list")["models"]] == ["org/tiny", "org/old"]


def test_a_cache_that_is_not_read_whole_loses_nothing(cli: Cli) -> None:
    answering(cli, **{"hub-cache": f"{LISTING}{DATA}cut=yes\n"})
    assert cli("model", "list") == 0
    assert "spark-1: not all of the cache could be listed; nothing of it is pruned" in cli.out
    assert cli("model", "prune", "-y") == 0
    assert cli.out == "nothing to remove\n"


def test_a_cache_of_another_node_is_said_to_be_one(cli: Cli) -> None:
    answering(cli, **{"hub-cache": "mounted=192.168.100.10:/home/spark/.cache/huggingface\n"})
    assert cli("model", "list") == 0
    assert "spark-2 reads its models from 192.168.100.10:/home/spark/.cache/huggingface" in cli.out


def test_no_model_is_no_fault(cli: Cli) -> None:
    answering(cli, **{"hub-cache": ""})
    assert cli("model", "list") == 0
    assert cli.out == "no models; next: sparkctl model pull\n"


def test_a_model_is_shown_with_its_shape(cli: Cli) -> None:
    assert cli("model", "show", "org/tiny") == 0
    assert "kind        llama" in cli.out and "context     2048 tokens" in cli.out
    assert complete(cli, "model", "show", "org/tiny")["config"]["layers"] == 2
    answering(cli, **{"model-configs": f"\n@config={NEW}\n{{"})
    assert cli("model", "show", "org/tiny") == 0
    assert "no JSON" in cli.out
    assert cli("model", "show", "org/tinny") == 1
    assert "did you mean org/tiny?" in cli.err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("bad model",), "no ORG/NAME"),
        (("a/b", "--revision", "../x"), "no branch, tag or commit"),
        (("a/b", "--revision", "a/../../x"), "no branch, tag or commit"),
        (("--revision", "v1"), "needs one MODEL"),
        (("a/b", "c/d", "--revision", "v1"), "needs one MODEL"),
    ],
)
def test_nonsense_is_not_pulled(cli: Cli, argv: tuple[str, ...], words: str) -> None:
    assert cli("model", "pull", *argv) == 3
    assert words in cli.err
    assert not any(host.log for host in cli.hosts.values())


@pytest.mark.parametrize("verb", ["show", "verify", "prune"])
def test_no_node_is_asked_about_nonsense(cli: Cli, verb: str) -> None:
    assert cli("model", verb, "../../etc") == 3
    assert "'../../etc' is no ORG/NAME" in cli.err
    assert not any(host.log or host.round_trips for host in cli.hosts.values())


def hashed(cli: Cli, *bad: dict[str, str], rc: int = 0) -> None:
    lines = [{"total": 9}, {"done": 5}, {"files": 2, "bytes": 9, "unchecked": 0, "bad": list(bad)}]
    said = "".join(f"{json.dumps(line)}\n" for line in lines)
    for host in cli.hosts.values():
        host.reply(["python3"], Result("" if rc else said, "no such thing" if rc else "", rc))


def test_good_files_are_verified_on_both_nodes(cli: Cli) -> None:
    hashed(cli)
    assert cli("model", "verify", "-q") == 0
    assert cli.out == "✓ org/tiny on spark-1: 2 files, 9 B\n✓ org/tiny on spark-2: 2 files, 9 B\n"
    job = json.loads(cli.hosts["spark-2"].log[-1].argv[2])
    assert job["files"] == {NEW: {"config.json": 100}}
    assert job["folder"] == f"{CACHE}/hub/models--org--tiny"


def test_a_bad_file_is_named_with_the_next_command(cli: Cli) -> None:
    hashed(cli, {"file": "config.json", "commit": NEW, "blob": BLOB, "why": "corrupt"})
    assert cli("model", "verify", "-q") == 2
    assert "    config.json: corrupt (revision bbbbbbbbbbbb)\n" in cli.out
    assert "2 files of org/tiny not as on the hub: config.json\n" in cli.err
    assert "sparkctl model verify org/tiny --repair" in cli.err
    assert cli("model", "verify", "--json", "-q") == 2
    assert check_document(cli.document)[0] == "model-verify"


def test_repair_removes_what_is_bad_and_says_what_next(cli: Cli) -> None:
    hashed(cli, {"file": "config.json", "commit": NEW, "blob": BLOB, "why": "corrupt"})
    gone = LISTING.replace(f"file=100 models--org--tiny/blobs/{BLOB}\n", "")
    for host in cli.hosts.values():
        host.reply_script("rm -f -- ", lambda _: answering(cli, **{"hub-cache": gone}) or "")
    assert cli("model", "verify", "--repair") == 0
    done = [command.script for host in cli.hosts.values() for command in host.log]
    assert f"rm -f -- {CACHE}/hub/models--org--tiny/blobs/{BLOB}" in done
    assert cli.out.endswith("done\nnext: sparkctl model pull org/tiny\n")


def test_a_node_without_python_is_named(cli: Cli) -> None:
    hashed(cli, rc=127)
    assert cli("model", "verify", "-q") == 1
    assert "sudo apt install python3" in cli.err


def test_what_lies_nowhere_cannot_be_verified(cli: Cli) -> None:
    assert cli("model", "verify", "org/none") == 1
    assert "sparkctl model pull org/none" in cli.err


def lock_of(cli: Cli) -> dict[str, Any]:
    return dict(json.loads((cli.folder / NAME).read_text()))


def test_pins_are_written_once_and_moved_on_demand(cli: Cli) -> None:
    document = complete(cli, "model", "pin")
    assert [pin["pinned"] for pin in document["pins"]] == [NEW, DIGEST]
    assert lock_of(cli) == {
        "lock": 1,
        "models": {"org/tiny": {"main": NEW}},
        "images": {"registry.example/vllm:1": DIGEST},
    }
    answering(cli, **{"hub-head": json.dumps({"commit": "e" * 40})})
    assert cli("model", "pin") == 0
    assert f"by now it is {'e' * 40}; sparkctl model pin --update moves the pin" in cli.out
    assert lock_of(cli)["models"] == {"org/tiny": {"main": NEW}}
    assert cli("model", "pin", "--update") == 0
    assert f"org/tiny at main: {'e' * 40} (was {NEW})" in cli.out
    assert lock_of(cli)["models"] == {"org/tiny": {"main": "e" * 40}}


def test_what_another_pin_wrote_meanwhile_stays(cli: Cli) -> None:
    host, other = cli.hosts["spark-1"], {"lock": 1, "models": {"org/other": {"main": OLD}}, "images": {}}
    answer = host.probes
    assert callable(answer)

    def meanwhile(name: str) -> Answer | str | None:
        (cli.folder / NAME).write_text(json.dumps(other))
        return answer(name)

    host.probes = meanwhile
    assert cli("model", "pin") == 0
    assert lock_of(cli)["models"] == {"org/other": {"main": OLD}, "org/tiny": {"main": NEW}}


def test_what_nobody_knows_is_not_pinned(cli: Cli) -> None:
    nobody = {"hub-cache": "", "images": "[]", "tag": "", "hub-head": json.dumps({"error": "the hub says no"})}
    answering(cli, **nobody)
    assert cli("model", "pin") == 0
    assert "org/tiny at main: not pinned (unknown: the head has it not, and the hub says no)" in cli.out
    assert "registry.example/vllm:1: not pinned" in cli.out
    assert not (cli.folder / NAME).exists()


def test_a_lock_that_is_nonsense_stops_every_verb(cli: Cli) -> None:
    (cli.folder / NAME).write_text('{"lock": 1, "models": {"org/tiny": {"main": "abc"}}}')
    for argv in (["plan"], ["model", "list"], ["model", "pin"], ["image", "list"]):
        assert cli(*argv) == 3
        assert "sparkctl.lock:1: org/tiny at main: 'abc'" in cli.err


def test_pruning_asks_first_and_keeps_what_is_used(cli: Cli) -> None:
    assert cli("model", "prune") == 1
    assert "- models  spark-1, spark-2  remove org/old: 70 B" in cli.out
    assert "needs a confirmation" in cli.err
    assert not any(c.script.startswith("set -e\nrm -rf") for host in cli.hosts.values() for c in host.log)
    for host in cli.hosts.values():
        host.reply_script("rm -rf -- ", lambda _: answering(cli, **{"hub-cache": LISTING}) or "")
    assert cli("model", "prune", "-y", "--json", "-q") == 0
    assert check_document(cli.document)[0] == "model-prune"
    assert cli("model", "prune") == 0
    assert cli.out == "nothing to remove\n"


@pytest.mark.parametrize(
    ("model", "changes", "words"),
    [
        ("org/tiny", {}, "org/tiny is in use by api on spark-1, api on spark-2; nothing was removed"),
        ("org/tiny", {"users": ""}, "org/tiny is served by profile mine; nothing was removed"),
        ("org/old", {"model-ledger": ""}, "org/old was not brought by sparkctl; nothing was removed"),
        ("org/none", {}, "org/none lies on none of the nodes"),
    ],
)
def test_what_is_named_and_must_stay_is_refused(cli: Cli, model: str, changes: dict[str, str], words: str) -> None:
    answering(cli, **changes)
    assert cli("model", "prune", model, "-y") == 1
    assert words in cli.err
    assert not any(host.log for host in cli.hosts.values())


def test_a_profile_that_cannot_be_read_forbids_to_prune(cli: Cli) -> None:
    (cli.folder / "profiles/torn.yaml").write_text("name: [")
    for argv in (["model", "prune", "-y"], ["image", "prune", "-y"]):
        assert cli(*argv) == 1
        assert "profile torn cannot be read" in cli.err
    assert cli("model", "list") == 0
    assert "cannot be read: profile torn" in cli.out


def test_images_are_listed_and_pruned(cli: Cli) -> None:
    assert cli("image", "list") == 0
    assert cli.out.startswith(
        f"registry.example/vllm:1  (mine)\n  ✓ spark-1  id {A[7:19]}, digest dddddddddddd, 1.0 GiB, in use by api\n"
    )
    assert len(complete(cli, "image", "list")["images"]) == 2
    left = json.dumps([image(A, "registry.example/vllm:1")])
    for host in cli.hosts.values():
        host.reply_script("docker rmi", lambda _: answering(cli, images=left) or "")
    assert cli("image", "prune", "-y") == 0
    assert f"remove {B[7:19]}: 1.0 GiB" in cli.out
    assert cli("image", "prune", "-y", "--json") == 0
    assert (cli.document["schema"], cli.document["result"]) == ("sparkctl/image-prune/1", "nothing to remove")


def test_models_are_completed_from_profiles(cli: Cli) -> None:
    assert {"org/tiny", "sparklab/tiny-llama"} <= {*complete_models()}
