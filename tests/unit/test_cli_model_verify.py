"""model verify on fake nodes: whole files, bad ones, and what repairs them."""

import json

import pytest
from caches import NEW
from cli_fakes import Cli
from documents import check_document
from model_nodes import BLOB, CACHE, LISTING, answering, with_models

from sparkctl.transport.session import Result

cli = pytest.fixture(with_models)


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
