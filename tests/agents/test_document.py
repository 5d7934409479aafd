"""What a program of the platform says on a machine that has no platform."""

import pytest

from sparkctl.agents.key_tool import listed
from sparkctl.cli.agents import DOCUMENT
from sparkctl.errors import ConfigError


def test_on_a_laptop_it_is_said_where_the_document_is() -> None:
    with pytest.raises(ConfigError) as caught:
        listed(DOCUMENT)
    assert "docker exec sparkctl-CLUSTER-gateway sparkctl agents" in caught.value.fix
