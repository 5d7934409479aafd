"""Whatever stands in files, environment or profile: a configuration or a ConfigError, and no secret shown."""

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_world import TINY_PROFILE, TWO_SPARKS, World, lines
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sparkctl import data
from sparkctl.config import envfile, yamlfile
from sparkctl.config.inert import INERT
from sparkctl.config.load import NAMES
from sparkctl.config.origin import is_secret
from sparkctl.errors import ConfigError

CANARY = "hf_c4n4ryC4N4RYc4n4ry"
SECRETS = sorted(name for name in NAMES if is_secret(name))
quick = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])

names = st.sampled_from(sorted(NAMES | INERT.keys()))
pieces = st.sampled_from(
    ["\n", "\r", "#", '"', "'", "=", "$", "{", "}", ":-", "`", "\\", " ", "export ", "0", "-1", "1.5", ",", "é", "\0"]
)
env_text = st.lists(names | pieces | st.text(max_size=8) | st.sampled_from([f"${{{s}}}" for s in SECRETS])).map(
    "".join
)
words = st.text(max_size=40).filter(lambda text: "\0" not in text)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)
STACKED: Mapping[str, Any] = yaml.safe_load(data.path("profiles/stacked.yaml").read_text(encoding="utf-8"))


@contextmanager
def somewhere() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="sparkctl-fuzz-"))
    try:
        yield World(folder).shared(**TWO_SPARKS)
    finally:
        shutil.rmtree(folder)


def shown(world: World, profile: str = "tiny", **flags: str) -> str:
    """All that a user could see of the configuration, or of what is wrong with it."""
    try:
        config = world.load(profile, None, **flags)
    except ConfigError as error:
        assert error.problems
        return "\n".join((str(error), error.fix, *map(str, error.problems)))
    return "\n".join((repr(config), *config.notes))


@quick
@given(text=env_text, before=st.booleans(), secret=st.sampled_from(SECRETS))
@example(text='MODEL="', before=True, secret="HF_TOKEN")
@example(text="MODEL=x ", before=True, secret="HF_TOKEN")
def test_any_env_file(text: str, before: bool, secret: str) -> None:
    with somewhere() as world:
        token = f"{secret}={CANARY}\n"
        world.profile("tiny", TINY_PROFILE).local(text + token if before else token + text)
        assert CANARY not in shown(world)


@quick
@given(name=names, secret=st.sampled_from(SECRETS), text=words)
def test_any_value_of_any_variable(name: str, secret: str, text: str) -> None:
    with somewhere() as world:
        world.profile("tiny", TINY_PROFILE).environ |= {name: text, secret: CANARY}
        assert CANARY not in shown(world)


@quick
@given(name=names | st.text(max_size=10), text=words)
def test_any_flag(name: str, text: str) -> None:
    with somewhere() as world:
        world.profile("tiny", TINY_PROFILE)
        shown(world, **{name: text} if name not in ("profile", "world") else {})


@quick
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes(content: bytes) -> None:
    with somewhere() as world:
        world.profile("tiny", "")
        (world.folder / "profiles/tiny.yaml").write_bytes(TINY_PROFILE.encode() + content)
        (world.folder / "unified-config.local.env").write_bytes(content)
        shown(world)


@quick
@given(
    text=st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>%@`'\"#?,\n \t0.~<="), max_size=60) | st.text(max_size=60),
)
@example(text="a: &x [*x]")
@example(text="? [a]\n: b")
@example(text="a: 0x" + "f" * 6000)
@example(text="a: " + "9" * 6000)
@example(text="a: !!python/object:os.system x")
@example(text="- " * 3000)
@example(text="a: 1:99:99")
def test_any_yaml(text: str) -> None:
    document = yamlfile.parse(text, "f.yaml")
    assert document.problems or isinstance(document.data, dict)
    with somewhere() as world:
        assert shown(world.profile("tiny", text))


@quick
@given(change=plain, key=st.data())
def test_any_value_of_any_key(change: Any, key: st.DataObject) -> None:
    profile = {name: dict(part) if isinstance(part, dict) else part for name, part in STACKED.items()}
    part = key.draw(st.sampled_from(sorted(profile)))
    if isinstance(profile[part], dict) and key.draw(st.booleans()):
        profile[part][key.draw(st.sampled_from(sorted(profile[part])) | st.text(max_size=5))] = change
    else:
        profile[part] = change
    with somewhere() as world:
        shown(world.profile("stacked", yaml.safe_dump(profile)), "stacked")


@quick
@given(name=st.text(max_size=20))
@example(name="../../etc/passwd")
@example(name="a\0/b.yaml")
@example(name="~nobody-of-that-name/x.yaml")
@example(name="x" * 5000 + ".yaml")
def test_any_profile_name(name: str) -> None:
    with somewhere() as world:
        shown(world, name or "tiny")


@quick
@given(text=env_text)
def test_expansion_ends_and_names_each_fault(text: str) -> None:
    read = envfile.parse(text, "f.env", {"HF_TOKEN": CANARY})
    for problem in read.problems:
        assert re.fullmatch(r"f\.env:\d+", problem.where)
        assert CANARY not in str(problem)


@pytest.mark.parametrize("name", SECRETS)
def test_each_secret_is_known_as_one(name: str) -> None:
    with somewhere() as world:
        (world.folder / "unified-config.local.env").write_text(lines({name: CANARY}))
        world.profile("tiny", TINY_PROFILE)
        assert world.load("tiny").origins[name].value == "(hidden)"
        assert CANARY not in shown(world)
