"""Services that are no engines: what is seen of them, and the image that is built for them."""

import pytest
from cli_fakes import cluster_of

from sparkctl.core.service import Confinement, Service
from sparkctl.core.step import Absent, Finding, Ok, Pending
from sparkctl.facts.probe import Answer, Facts
from sparkctl.model_abilities import can_see
from sparkctl.steps.health import HealthStep
from sparkctl.steps.image_build import BuildStep, dockerfile
from sparkctl.wheel import Wheel

CLUSTER = cluster_of()
HEAD = CLUSTER.head.name
STEP = HealthStep(CLUSTER, Service("gateway", HEAD, "image:1", (), confined=Confinement()), "curl http://here/health")


def seen(status: str, rc: int) -> Finding:
    name = f"sparkctl-{CLUSTER.name}-gateway"
    line = f'{{"id":"a","name":"{name}","image":"i","labels":{{}},"status":"{status}","exit_code":1,"started":"t"}}'
    answers = {"containers": Answer(line if status else ""), "health:gateway": Answer("", rc)}
    return STEP.check(Facts({HEAD: answers}))


@pytest.mark.parametrize(
    ("status", "rc", "kind", "words"),
    [
        ("running", 0, Ok, "it answers"),
        ("running", 22, Absent, "it runs and does not answer"),
        ("exited", 0, Absent, "its container is exited"),
    ],
)
def test_a_service_is_well_when_it_runs_and_answers(status: str, rc: int, kind: type[Finding], words: str) -> None:
    finding = seen(status, rc)
    assert isinstance(finding, kind)
    assert finding.note == words


def test_without_its_container_nothing_is_known() -> None:
    assert seen("", 1) == Pending(f"gateway@{HEAD}")


def test_the_image_is_built_once_its_base_is_there() -> None:
    wheel = Wheel("sparkctl-0-py3-none-any.whl", b"wheel")
    step = BuildStep(CLUSTER, "sparkctl/agents:1", "python:3.12-slim", "image-agents-base", wheel, "image-agents")
    image = Answer('{"Id":"sha256:0123456789abcdef0123456789abcdef","Architecture":"arm64","Size":1,"RepoDigests":[]}')
    assert step.check(Facts({})) == Pending(f"image-agents-base@{HEAD}")
    finding = step.check(Facts({HEAD: {"image:python:3.12-slim": image}}))
    assert isinstance(finding, Absent)
    assert finding.actions[0].summary == "build sparkctl/agents:1 from sparkctl-0-py3-none-any.whl"
    assert isinstance(step.check(Facts({HEAD: {"image:sparkctl/agents:1": image}})), Ok)
    assert "FROM python:3.12-slim\n" in dockerfile("python:3.12-slim", wheel)


def test_document_1s_model_for_images_cannot_see() -> None:
    assert can_see({"model_type": "phi3"}) is False
