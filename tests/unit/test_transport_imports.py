"""What importing the contracts of the transport must not cost."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["sparkctl.transport.session", "sparkctl.transport.memory", "sparkctl.core.lock"])
def test_contracts_import_no_ssh_and_no_docker(module: str) -> None:
    code = (
        f"import {module}, sys; print([m for m in ('paramiko', 'fabric', 'docker', 'requests') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"


def test_a_session_brings_no_docker_sdk_before_it_is_asked_for() -> None:
    code = "import sparkctl.transport.ssh, sys; print('docker' in sys.modules, 'requests' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "False False\n"
