"""Results kept, read again, compared; what is none is refused with words."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from bench_samples import fabric, level, serve
from documents import check_document, check_members, members

from sparkctl.bench import files
from sparkctl.bench.compare import Row, compare
from sparkctl.bench.results import LeftOut, Load, Outcome
from sparkctl.errors import SparkctlError
from sparkctl.topology import Cluster, Node, Role

CLUSTER = Cluster(
    "demo",
    Node("spark-1", Role.HEAD, "192.0.2.1", "spark", 22, "192.168.100.1"),
    (Node("spark-2", Role.WORKER, "spark-2.lan", "spark", 22, "192.168.100.11"),),
    "198.51.100.7",
)
RESULTS: tuple[Outcome, ...] = (fabric(), serve())


@pytest.mark.parametrize("result", RESULTS, ids=("fabric", "serve"))
def test_a_result_is_read_as_it_was_written(result: Outcome, tmp_path: Path) -> None:
    document, page = files.save(result, "<page>", tmp_path / "new" / "folder")
    assert document.stem == page.stem == f"{files.kind(result)}-demo-20261121T120000"
    assert page.read_text() == "<page>"
    assert files.load(document) == result
    check_document(json.loads(document.read_text()))


def test_documents_hold_every_member_that_the_page_describes() -> None:
    optional = ("measurements[]", "files", "error", "also[]")
    for result in RESULTS:
        document = json.loads(json.dumps(files.document(result)))
        known = members(document["schema"].split("/")[1]) | {"schema": "string"}
        seen = check_members(document, known)
        lacking = {path for path in known.keys() - seen if not path.startswith(optional)}
        assert lacking == set()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not JSON"),
        ("[]", "names no schema"),
        ('{"schema": "sparkctl/plan/1"}', "sparkctl/plan/1"),
        ('{"schema": "sparkctl/bench-serve/2"}', "bench-serve/2"),
        ('{"schema": ["x"]}', "schema"),
        ('{"schema": "sparkctl/bench-serve/1"}', "Field required"),
        ('{"schema": "sparkctl/bench-fabric/1", "taken": 3}', "taken"),
        ("[" * 100000, "not JSON"),
        ("\xff\xfe", "not JSON"),
        ('{"schema": NaN}', "NaN is no figure"),
        ('{"schema": -1}', "-1 is no figure"),
        ('{"schema": 1e999}', "1e999 is no figure"),
        (f'{{"schema": {"9" * 5000}}}', "is no figure"),
    ],
)
def test_a_file_that_is_no_result_is_refused(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(SparkctlError) as error:
        files.load(path)
    assert "is no result of sparkctl bench" in error.value.what
    assert words in error.value.what
    assert "bench fabric" in error.value.fix


def test_a_pipe_is_not_waited_for_and_a_device_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(SparkctlError, match="it is no plain file"):
            files.load(path)


def test_half_a_character_in_somebody_elses_result_is_no_bug_of_ours(tmp_path: Path) -> None:
    files.write(tmp_path / "page.html", "a \ud800 b")
    assert (tmp_path / "page.html").read_text() == "a ? b"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(SparkctlError, match="cannot read"):
            files.load(path)
    (tmp_path / "file").write_text("")
    with pytest.raises(SparkctlError, match="cannot write"):
        files.save(fabric(), "", tmp_path / "file")


def test_a_folder_that_takes_nothing_is_known_before_there_is_a_result_to_lose(tmp_path: Path) -> None:
    files.check_folder(tmp_path / "new" / "folder")
    assert [*tmp_path.iterdir()] == []
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/self")):
        with pytest.raises(SparkctlError, match="cannot write") as error:
            files.check_folder(folder)
        assert "--output" in error.value.fix


def test_no_address_is_kept() -> None:
    why = "ping 192.168.100.1: no route to 192.168.100.11, spark-2.lan, 198.51.100.7:8000; 192.168.100.111 is nobody's"
    result = replace(fabric(), left_out=(LeftOut("ping 192.168.100.11", "spark-1", why, "ssh spark-2.lan"),))
    (left,) = files.without_addresses(result, CLUSTER).left_out
    assert left.why == "ping spark-1: no route to spark-2, spark-2, spark-1:8000; 192.168.100.111 is nobody's"
    assert (left.what, left.next) == ("ping spark-2", "ssh spark-2")
    kept = files.without_addresses(replace(serve(), notes=("at 192.0.2.1.",)), CLUSTER)
    assert kept.notes == ("at spark-1.",)


def test_ratios_know_what_is_better() -> None:
    rows = {(row.part, row.name): row for row in compare(fabric(), fabric(90.25)).rows}
    tcp = rows["TCP", "spark-1 to spark-2, 8 connections"]
    assert (tcp.left, tcp.right, tcp.ratio, tcp.judgement) == (180.5, 90.25, 0.5, "worse")
    assert rows["all-gather, bus bandwidth", "1024 MiB"].judgement == "same"
    assert Row("p", "n", "ms", 2.0, 1.0, higher=False).judgement == "better"
    assert Row("p", "n", "ms", 1.0, 1.04, higher=False).judgement == "same"
    assert Row("p", "n", "ms", 0.0, 1.0).ratio is None


def test_levels_that_only_one_has_stand_without_a_ratio() -> None:
    other = replace(serve(), levels=(level(1), level(2)))
    names = [row.name for row in compare(serve(), other).rows if row.part == "output"]
    assert names == ["1 at a time", "8 at a time", "2 at a time"]
    alone = [row for row in compare(serve(), other).rows if row.name == "8 at a time"]
    assert {row.judgement for row in alone} == {""}


def test_what_makes_results_hard_to_compare_is_said() -> None:
    other = replace(serve("sparkctl"), load=Load(512, 128, 2), model=replace(serve().model, id="other/model"))
    notes = " ".join(compare(serve(), other).notes)
    for words in ("measured by vllm bench serve on the left, by sparkctl", "512 tokens in", "openai/gpt-oss-120b"):
        assert words in notes
    python = replace(fabric(), tcp=tuple(replace(one, tool="sparkctl") for one in fabric().tcp), busy=())
    notes = " ".join(compare(fabric(), python).notes)
    assert "by iperf3 on the left, by sparkctl on the right" in notes
    assert "left one something served meanwhile: vllm on spark-1" in notes


def test_different_benches_have_nothing_to_compare() -> None:
    with pytest.raises(SparkctlError, match="no figure in common"):
        compare(fabric(), serve())
