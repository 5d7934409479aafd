"""The `setup:` part of a profile: what is refused, and how the second half gets its address."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sparkctl import data
from sparkctl.config.load import load
from sparkctl.errors import ConfigError
from sparkctl.halves import addresses

WHERE = {
    "CONTROL_PLANE_API_IP": "10.0.0.1",
    "FABRIC_CTRL_IP": "192.168.100.10",
    "FABRIC_CTRL_CIDR": "192.168.100.10/24",
    "WORKER_NODE_IP": "192.168.100.11",
    "WORKER_NODE_SSH_TARGET": "10.0.0.2",
    "HEAD_SSH_USER": "nvidia",
}
KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDME\n-----END PGP PUBLIC KEY BLOCK-----\n"

PATH = {"uris": ["file:/srv/packages"], "suites": ["./"], "key": KEY}


def _load(folder: Path, setup: dict[str, Any]) -> Any:
    profile = yaml.safe_load((data.path("profiles") / "stacked.yaml").read_text())
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**profile, "name": "mine", "setup": setup}))
    return load(str(path), environ={"HOME": str(folder), **WHERE}, cwd=folder).profile.setup


@pytest.mark.parametrize(
    ("setup", "name"),
    [
        ({"netplan": {"second_subnet": "192.168.101.1/24"}}, "setup.netplan.second_subnet"),
        ({"netplan": {"second_subnet": "nonsense"}}, "setup.netplan.second_subnet"),
        ({"netplan": {"second_subnet": "192.168.0.0/16"}}, "setup.netplan.second_subnet"),
        ({"netplan": {"second_subnet": "192.168.101.0/29"}}, "setup.netplan.second_subnet"),
        ({"netplan": {"write": False, "second_subnet": "192.168.101.0/29"}}, "setup.netplan.second_subnet"),
        ({"netplan": {"confirm_s": 1}}, "setup.netplan.confirm_s"),
        ({"netplan": {"mtu": 100}}, "setup.netplan.mtu"),
        ({"netplan": {"interfaces": ["a b"]}}, "setup.netplan.interfaces"),
        ({"netplan": {"interfaces": ["enp1s0f1np1", "enp1s0f1np1"]}}, "setup.netplan.interfaces"),
        ({"min_driver": "newest"}, "setup.min_driver"),
        ({"sudoers": "yes please"}, "setup.sudoers"),
        ({"packages": {"docker": ["docker; reboot"]}}, "setup.packages.docker"),
        ({"packages": {"docker": ["docker.io-"]}}, "setup.packages.docker"),
        ({"packages": {"sources": {"v": {"uris": ["file:/x"], "suites": ["./"], "key": "mDME"}}}}, ".key"),
        ({"packages": {"sources": {"v": {"uris": ["file:/x"], "suites": ["noble"], "key": KEY}}}}, "sources.v"),
        ({"packages": {"sources": {"v": {**PATH, "components": ["main"]}}}}, "sources.v"),
        ({"packages": {"sources": {"v": {"uris": ["ftp://x"], "suites": ["./"], "key": KEY}}}}, ".uris"),
        ({"sudo": True}, "setup.sudo"),
    ],
)
def test_a_bad_value_is_named_with_its_line(tmp_path: Path, setup: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        _load(tmp_path, setup)
    problem = refused.value.problems[0]
    assert name in problem.name
    assert problem.where.startswith("mine.yaml:")


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        ({"packages": {"sources": {"v": {**PATH, "uris": ["ftp://x"]}}}}, ["Where the packages are"]),
        ({"packages": {"sources": {"v": {**PATH, "uris": []}}}}, ["at least 1"]),
        ({"netplan": {"interfaces": ["a", "b", "c"]}}, ["at most 2"]),
    ],
)
def test_a_list_of_the_wrong_length_is_told_in_our_words_and_once(
    tmp_path: Path, setup: dict[str, Any], said: list[str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        _load(tmp_path, setup)
    assert [problem.accepted for problem in refused.value.problems] == said


def test_what_is_accepted(tmp_path: Path) -> None:
    other = {"uris": ["https://packages.example.org"], "suites": ["noble", "noble-updates"], "components": ["main"]}
    sources = {"vendor": PATH, "other": {**other, "key": KEY}}
    found = _load(tmp_path, {"packages": {"sources": sources}, "netplan": {"second_subnet": "10.1.2.0/24"}})
    assert found.packages.sources["vendor"].components == ()
    assert (found.netplan.mtu, found.netplan.confirm_s, found.sudoers) == (9000, 30, False)


@pytest.mark.parametrize(
    ("address", "prefix", "second", "expected"),
    [
        ("192.168.100.10", 24, "", ("192.168.101.10", 24)),
        ("10.0.0.2", 30, "", ("10.0.0.6", 30)),
        ("10.0.0.1", 31, "", ("10.0.0.3", 31)),
        ("10.0.200.7", 16, "", ("10.1.200.7", 16)),
        ("192.168.100.10", 24, "172.16.0.0/28", ("172.16.0.10", 28)),
    ],
)
def test_the_second_half_keeps_the_place_of_the_first(
    address: str, prefix: int, second: str, expected: tuple[str, int]
) -> None:
    assert addresses(address, prefix, second) == ((address, prefix), expected)
