"""How the index logs in at Milvus: a stand-in that speaks gRPC, takes any call and notes who made it."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from sparkctl.agent_spec import Agents, AgentsDocument, ModelEndpoint, Rag, Where
from sparkctl.agents.rag.opening import index_of


@dataclass
class AnyCall(grpc.GenericRpcHandler):
    """Answers every call with an empty message, which says success; `seen` are the logins."""

    seen: list[str] = field(default_factory=list)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        metadata = dict(handler_call_details.invocation_metadata)
        self.seen.append(base64.b64decode(metadata.get("authorization", "")).decode())
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")


@pytest.fixture
def milvus() -> Iterator[tuple[str, AnyCall]]:
    """The stand-in, with its address."""
    calls = AnyCall()
    server = grpc.server(ThreadPoolExecutor(2), handlers=(calls,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}", calls
    server.stop(None).wait()


@pytest.mark.parametrize(("password", "login"), [("se-cret_\n", "root:se-cret_"), ("", "")])
def test_the_password_is_a_file_among_the_secrets(
    tmp_path: Path, milvus: tuple[str, AnyCall], password: str, login: str
) -> None:
    url, calls = milvus
    if password:
        (tmp_path / "milvus-password").write_text(password)
    document = AgentsDocument(
        agents=Agents(rag=Rag(index="milvus")),
        models={"main": ModelEndpoint(url="http://127.0.0.1:1/v1", id="any")},
        where=Where(milvus=url, secrets=str(tmp_path)),
    )
    index_of(document).close()
    assert calls.seen
    assert set(calls.seen) == {login}
