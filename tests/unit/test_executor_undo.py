"""What is taken away, in which order, and what stays."""

import time

import pytest
from fake_steps import FakeStep, World, fail, new_world

from sparkctl.core.action import Context
from sparkctl.core.step import Layer

world = pytest.fixture(new_world)


def test_undo_goes_backwards_and_sees_that_all_is_gone(world: World) -> None:
    world.things = {"one@a": "there", "two@b": "there", "three@a": "there"}
    steps = (
        FakeStep(world, "one", "a"),
        FakeStep(world, "two", "b", needs=("one@a",)),
        FakeStep(world, "three", "a", needs=("two@b",)),
        FakeStep(world, "absent", "a"),
    )
    outcome = world.down(*steps)
    assert world.log == ["remove three@a", "remove two@b", "remove one@a"]
    assert world.things == {} and outcome.failed is None


def test_undo_goes_backwards_over_steps_that_have_nothing_to_take_away(world: World) -> None:
    """A container of an earlier profile holds its image, although no step between them was ever applied."""
    world.things = {"image@a": "there", "leftovers@b": "there"}
    held: list[bool] = []
    steps = (
        FakeStep(world, "image", "a", work=lambda _: held.append("leftovers@b" in world.things)),
        FakeStep(world, "intent", "a", needs=("image@a",)),
        FakeStep(world, "leftovers", "b", needs=("intent@a",), work=lambda _: time.sleep(0.2)),
    )
    outcome = world.down(*steps)
    assert held == [False]
    assert outcome.failed is None


def test_no_image_goes_before_the_containers_of_all_nodes(world: World) -> None:
    """An image of a component that is not deployed any more: its undo takes what others still run on."""
    world.things = {"image-other@a": "there", "vllm@b": "there"}
    held: list[bool] = []
    steps = (
        FakeStep(world, "vllm", "b", layer=Layer.WORKLOAD, work=lambda _: time.sleep(0.2)),
        FakeStep(world, "image-other", "a", layer=Layer.IMAGE, work=lambda _: held.append("vllm@b" in world.things)),
    )
    assert world.down(*steps).failed is None
    assert held == [False]


def test_what_is_still_there_after_undo_is_an_error(world: World) -> None:
    world.things = {"one@a": "there"}

    class Sticky(FakeStep):
        def _remove(self, context: Context) -> None:
            context.say("trying")

    outcome = world.down(Sticky(world, "one"))
    assert outcome.failed is not None and "still there after it was removed: remove one@a" in outcome.failed.what


def test_undo_keeps_what_a_failed_one_stands_on(world: World) -> None:
    world.things = {"one@a": "there", "two@a": "there"}
    outcome = world.down(FakeStep(world, "one"), FakeStep(world, "two", needs=("one@a",), work=fail))
    assert outcome.skipped == ("one@a",) and "one@a" in world.things
