"""The profiles that come with sparkctl: they load, and the annotated one shows every key."""

import re
from collections.abc import Mapping

import pytest
from config_world import TWO_SPARKS, World, two_sparks
from pydantic.fields import FieldInfo

from sparkctl import data
from sparkctl.config import profiles, yamlfile
from sparkctl.config.profile import Placed, Profile, part_of

world = pytest.fixture(two_sparks)


@pytest.mark.parametrize("name", ["lab", "lab-agents", "lab-roles", "lab-vm", "roles", "single", "stacked", "unified"])
def test_shipped_profiles_load(world: World, name: str) -> None:
    config = world.lab(**TWO_SPARKS).load(name)
    assert config.profile.name == name
    assert config.profile.description


@pytest.mark.parametrize("name", sorted(path.stem for path in data.path("profiles").glob("*.yaml")))
def test_the_marks_of_the_guard_are_below_the_reserve_and_a_lab_leaves_the_machines_memory_alone(
    world: World, name: str
) -> None:
    config = world.lab(**TWO_SPARKS).load(name)
    guard = config.profile.guard
    assert not [note for note in config.notes if "guard.low_gib" in note]
    if config.profile.where == "lab":
        assert (guard.low_gib <= 1, guard.swap, guard.earlyoom) == (True, "keep", False)


def test_the_annotated_profile_has_every_key() -> None:
    """Those of the agents stand in unified.yaml."""
    written = {
        path for name in ("stacked", "unified") for path in profiles.read(name, data.path("."))[1].places if path
    }
    expected = set(_paths(Profile.model_fields, ()))
    assert expected - written == {("where",)}, "these keys stand in no line of stacked.yaml or unified.yaml"
    assert '# where: ""' in data.path("profiles/stacked.yaml").read_text()


def test_the_annotated_profile_shows_several_models() -> None:
    text = data.path("profiles/stacked.yaml").read_text()
    block = re.search(r"^# models:\n(?:#   .*\n)+", text, re.M)
    assert block, "a commented block of models"
    several = yamlfile.parse(re.sub(r"^# ?", "", block[0], flags=re.M), "models").data["models"]
    written = {key for placed in several.values() for key in placed}
    assert written == set(Placed.model_fields), "every key of a model stands there"
    one = yamlfile.parse(text, "stacked").data
    Profile.model_validate({**one, "model": None, "models": several})


def _paths(fields: Mapping[str, FieldInfo], prefix: tuple[str, ...]) -> list[tuple[str, ...]]:
    found = []
    for name, field in fields.items():
        inner, named = part_of(field.annotation) or (None, False)
        below = _paths(inner.model_fields, (*prefix, name)) if inner and not named else []
        found += [(*prefix, name), *below]
    return found


def test_the_profile_that_differs_in_the_store_differs_in_nothing_else() -> None:
    lab, vm = (profiles.read(name, data.path("."))[0] for name in ("lab", "lab-vm"))
    changes = {"name", "description", "store"}
    assert lab.model_dump(exclude=changes) == vm.model_dump(exclude=changes)
    assert (lab.store.kind, vm.store.kind) == ("copy", "nfs")
