"""Secrets lie in files of the head for its user alone, and in no other place of any machine; the API wants its key.

One deployment in file order. Every secret is a canary: a value that is searched for.
"""

import json
import re
import secrets
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator

import openai
import pytest
from admin import Admin, Ran, containers, write_profile
from canaries import CommandLines, files_with, forms, laptop_files_with, words_with
from machines import Machine, TestLab

pytestmark = pytest.mark.lab

GATED = "sparklab/gated-llama"
NAMES = ("VLLM_API_KEY", "HF_TOKEN", "REGISTRY_PASSWORD")


@pytest.fixture(scope="module")
def canaries() -> dict[str, str]:
    """The secrets by their variables."""
    return {name: f"canary-{name.lower().replace('_', '-')}-{secrets.token_hex(16)}" for name in NAMES}


@pytest.fixture(scope="module")
def admin(
    lab: TestLab, canaries: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Admin[TestLab]]:
    """Has the secrets in the environment, and a model that the hub gives to holders of the token alone."""
    home = tmp_path_factory.mktemp("admin")
    plain = Admin(lab, home)
    plain("down", "--purge", "--yes")
    with lab.opening_token(canaries["HF_TOKEN"]):
        # A profile of the lab ignores secrets of the environment, which are those of real Sparks: this one does not.
        gated = plain.serving(write_profile(home, "gated", where="", model={"id": GATED}))
        yield gated.having(REGISTRY_USER="robot", **canaries)
        gated("down", "--yes", code=None)  # the image stays for the next module


@pytest.fixture(scope="module")
def spoken() -> list[Ran]:
    """All that the program printed, except by `credentials`."""
    return []


@pytest.fixture(scope="module")
def lines(canaries: dict[str, str]) -> CommandLines:
    return CommandLines(forms(canaries))


def test_without_the_token_the_gated_model_is_refused(admin: Admin[TestLab], canaries: dict[str, str]) -> None:
    wrong = admin.having(HF_TOKEN="hf_wrong")
    refused = wrong("up", "--yes", "--until", "model", code=1)
    assert "gated or private" in refused.err
    assert "set HF_TOKEN" in refused.err
    assert "hf_wrong" not in refused.text
    assert not [name for name in canaries.values() if name in refused.text]


def test_no_secret_is_in_any_command_line_during_up(
    admin: Admin[TestLab], lines: CommandLines, spoken: list[Ran]
) -> None:
    """Stands on the token being delivered anew: the one of the test above was wrong."""
    with lines.watched():
        spoken.append(admin("up", "--yes", "--verbose", "--timings"))
        spoken += [admin(verb, code=None) for verb in ("plan", "status", "test", "doctor", "logs")]
        spoken += [admin("config show"), admin("plan", "--verbose")]
        spoken += [admin(verb, "--json") for verb in ("plan", "up", "status", "test")]
    assert lines.found == set()
    assert lines.scans > 100
    assert any(b"ray\0start\0--block" in line for line in lines.seen), "nodes' processes were among those looked at"
    assert any(b"sparkctl\0up\0" in line for line in lines.seen)


def test_no_secret_is_printed(spoken: list[Ran], canaries: dict[str, str]) -> None:
    """Stands on test_no_secret_is_in_any_command_line_during_up."""
    assert len(spoken) >= 12
    for ran in spoken:
        assert not [name for name, value in canaries.items() if value in ran.text], ran.text
    shown = next(ran.out for ran in spoken if "VLLM_API_KEY" in ran.out)
    assert "(hidden)" in shown
    assert "Traceback" not in "".join(ran.text for ran in spoken)


def test_secrets_lie_in_one_folder_of_the_head(admin: Admin[TestLab], canaries: dict[str, str]) -> None:
    """Stands on test_no_secret_is_in_any_command_line_during_up. The keeper has a copy of what the engine needs."""
    folder, sought = secrets_folder(admin), forms(canaries)
    kept = f"/var/lib/sparkctl/{admin.lab.lab.name}/secrets/spark-1"
    assert files_with(admin.lab.head, sought) == [f"{folder}/api-key", f"{folder}/hf-token", f"{kept}/api-key"]
    modes = admin.lab.head.root("stat", "-c", "%a %U", kept, f"{kept}/api-key").splitlines()
    assert modes == ["700 root", "600 root"]
    assert files_with(admin.lab.worker, sought) == []
    assert admin.lab.head.root("stat", "-c", "%a %U", folder).split() == ["700", "nvidia"]
    for name in admin.lab.head.root("ls", folder).split():
        assert admin.lab.head.root("stat", "-c", "%a %U", f"{folder}/{name}").split() == ["600", "nvidia"]


def test_engines_logs_and_journals_hold_none(admin: Admin[TestLab], canaries: dict[str, str]) -> None:
    """Stands on test_no_secret_is_in_any_command_line_during_up."""
    for machine in admin.lab.nodes:
        assert words_with(machine, forms(canaries)) == []
    assert words_with(admin.lab.head, [b"sparkctl.cluster"]) != [], "the search finds what is there"


def test_the_laptop_keeps_none(admin: Admin[TestLab], canaries: dict[str, str]) -> None:
    """Stands on test_no_secret_is_in_any_command_line_during_up."""
    assert laptop_files_with(admin.home, forms(canaries)) == []
    journals = list(admin.home.rglob("journal/*.jsonl"))
    assert len(journals) >= 2
    for journal in journals:
        assert stat.S_IMODE(journal.stat().st_mode) == 0o600
        assert [json.loads(line)["event"] for line in journal.read_text().splitlines()][-1] == "RunEnded"


def test_the_api_wants_the_key(admin: Admin[TestLab], canaries: dict[str, str]) -> None:
    """Stands on test_no_secret_is_in_any_command_line_during_up."""
    access = admin.json("credentials")
    assert access["api_key"] == canaries["VLLM_API_KEY"]
    assert access["model"] == GATED
    assert answer(access["base_url"], access["api_key"])
    for key in ("wrong", canaries["VLLM_API_KEY"][:-1], canaries["HF_TOKEN"]):
        with pytest.raises(openai.AuthenticationError):
            answer(access["base_url"], key)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{access['base_url']}/models", timeout=30)
    assert refused.value.code == 401
    exported = admin("credentials", "--env").out
    assert f"export OPENAI_API_KEY={canaries['VLLM_API_KEY']}\n" in exported


def test_a_new_key_counts_at_once_and_the_old_one_no_more(admin: Admin[TestLab], canaries: dict[str, str]) -> None:
    """Stands on test_the_api_wants_the_key."""
    fresh = f"canary-fresh-{secrets.token_hex(16)}"
    rotated, ids = admin.having(VLLM_API_KEY=fresh), containers(admin.lab)
    assert "api-key has another value" in rotated("plan").out
    assert "needs a confirmation" in rotated("up", code=1).err
    rotated("up", "--yes")
    access = rotated.json("credentials")
    assert access["api_key"] == fresh
    assert answer(access["base_url"], fresh)
    with pytest.raises(openai.AuthenticationError):
        answer(access["base_url"], canaries["VLLM_API_KEY"])
    now = containers(admin.lab)
    assert now["ray-head@spark-1"] == ids["ray-head@spark-1"]
    rotated("plan", "--exit-code")


def test_ray_answers_no_stranger(admin: Admin[TestLab]) -> None:
    """Stands on test_no_secret_is_in_any_command_line_during_up.

    Ray listens on every address of its node, so that the network of the clients reaches it too: only the token, which
    its containers alone hold, opens it.
    """
    worker, head = admin.lab.worker, admin.lab.head
    container = containers(admin.lab)["ray-worker@spark-2"]
    ask = ("timeout", "100", "ray", "status", f"--address={head.address}:6379")
    assert "2.0 GPU" in worker.root("docker", "exec", container, *ask)
    refused = worker.root("docker", "exec", "-e", "RAY_AUTH_MODE=disabled", container, *ask, check=False)
    assert "AuthenticationError" in refused
    assert "GPU" not in refused.replace("RAY_AUTH_MODE", "")


def test_what_listens_on_every_address_is_known(admin: Admin[TestLab]) -> None:
    """Stands on test_no_secret_is_in_any_command_line_during_up."""
    for machine in admin.lab.nodes:
        unknown = {
            name for name in wildcards(machine) if not re.match("sshd|raylet|gcs_server|ray::|VLLM::|python3", name)
        }
        assert unknown == set(), "Ray and what it starts, and nothing else"
    api = [row for row in admin.lab.head.root("ss", "-lntpH").splitlines() if '"vllm"' in row]
    assert {row.split()[3] for row in api} == {f"{admin.lab.head.address}:8000"}


def answer(url: str, key: str) -> str:
    """A token from the API by the stock client."""
    with openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=60) as client:
        return client.completions.create(model=GATED, prompt="1", max_tokens=1).choices[0].text


def secrets_folder(admin: Admin[TestLab]) -> str:
    return f"/home/nvidia/.sparkctl/{admin.lab.lab.name}/secrets"


def wildcards(machine: Machine) -> set[str]:
    """Programs that listen on all addresses of a machine."""
    rows = (line.split() for line in machine.root("ss", "-lntpH").splitlines())
    found = [row for row in rows if re.match(r"(0\.0\.0\.0|\*|\[::\]):", row[3])]
    return {match[1] for row in found if (match := re.search(r'users:\(\("([^"]+)"', row[-1]))}
