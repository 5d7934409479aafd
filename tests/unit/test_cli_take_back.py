"""What `up` does about a change that failed: the keeper puts back what served, and says what that took."""

from pathlib import Path

import pytest
from cli_fakes import Cli, answers, small_world
from documents import check_document

from sparkctl.errors import StepFailed
from sparkctl.facts.probe import Answer
from sparkctl.transport.memory import Command
from sparkctl.transport.session import Result

OPEN = 'main/good.json:{"digest": "one", "generation": 1}\nmain/wish.json:{"digest": "two"}\n'
NOTE = "it exited; generation 1 was put back and answers again after 4 s; clients had no answers for 9 s"


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    return Cli(monkeypatch, capsys, tmp_path).use(*small_world(fails=StepFailed("it exited")))


def keeper(cli: Cli, *, works: bool = True) -> list[str]:
    """A head with a change on record, and what its keeper is asked to do."""
    head, asked = cli.hosts["spark-1"], list[str]()
    records = [OPEN]

    def restore(command: Command) -> Result:
        asked.append(command.script)
        if works:
            records[0] = f'main/good.json:{{"digest": "one", "generation": 1}}\nmain/note.json:{{"text": "{NOTE}"}}\n'
        return Result("starting sparkctl-demo-vllm\n", "" if works else "container is gone", 0 if works else 1)

    head.probes = lambda name: Answer(records[0]) if name == "kept" else answers(name)
    head.reply_script("-m keeper", restore)
    return asked


def test_change_that_failed_is_put_back_and_said(cli: Cli) -> None:
    asked = keeper(cli)
    assert cli("up", "-y") == 1
    assert asked == ["PYTHONPATH=/var/lib/sparkctl/demo python3 -B -m keeper restore main 'it exited'"]
    assert "put generation 1 back" in cli.out
    assert NOTE in cli.out
    assert "error: it exited" in cli.err


def test_document_holds_what_was_put_back_beside_the_run_that_failed(cli: Cli) -> None:
    keeper(cli)
    assert cli("up", "-y", "--json", "-q") == 1
    document = cli.document
    assert document["previous"] == [NOTE]
    assert document["run"]["outcome"] == "failed"
    assert document["error"]["what"] == "it exited"
    check_document(document)


def test_failure_before_anything_was_changed_asks_for_nothing(cli: Cli) -> None:
    asked = keeper(cli)
    cli.hosts["spark-1"].probes = answers
    assert cli("up", "-y") == 1
    assert asked == []


def test_old_stack_that_does_not_come_back_is_said(cli: Cli) -> None:
    keeper(cli, works=False)
    assert cli("up", "-y") == 1
    assert "previous@spark-1 failed" in cli.out
