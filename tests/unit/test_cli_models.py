"""Models on fake nodes: how they are listed and shown, and what is not asked for."""

import pytest
from caches import NEW
from cli_fakes import Cli
from model_nodes import DATA, LISTING, answering, complete, with_models

from sparkctl.cli.complete_nodes import complete_models

cli = pytest.fixture(with_models)


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


def test_models_are_completed_from_profiles(cli: Cli) -> None:
    assert {"org/tiny", "sparklab/tiny-llama"} <= {*complete_models()}
