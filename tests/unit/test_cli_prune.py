"""Models and images that go, and those that stay because something uses them or may."""

import json

import pytest
from caches import A, B, image
from cli_fakes import Cli
from documents import check_document
from model_nodes import LISTING, answering, complete, with_models

cli = pytest.fixture(with_models)


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
