#!/usr/bin/python3
"""Stand-ins for engines that cannot run here: their commands, which refuse every flag that their documentation does
not know (`flags.json`), their API as far as sparkctl and OpenAI's client use it, and the ways in which they fail.

By the name that it is called by: sglang, trtllm-serve or ollama. STANDIN_FAULT says how to fail. Nothing is computed:
every answer is the same few words. What starts the ranks of TensorRT-LLM stands in launcher.py.
"""

import http.server
import json
import os
import re
import socket
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

FLAGS = json.loads(Path(__file__).resolve().with_name("flags.json").read_text())
FAULT = os.environ.get("STANDIN_FAULT", "")
WORDS = ["Hello", " two", " Sparks", "."]
GIB = 1 << 30


def parsed(tool, argv, refusal):
    """Flags and words, or the end of the program with the tool's own words for what it does not know."""
    known, found, words, rest = FLAGS[tool], {}, [], list(argv)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in known["switches"] and not equals:
            found[name] = True
        elif name in known["values"]:
            found[name] = value if equals else rest.pop(0)
        elif word.startswith("-"):
            sys.exit(refusal.format(word))
        else:
            words.append(word)
    return found, words


class Api(http.server.BaseHTTPRequestHandler):
    """OpenAI's API; `model` is what it lists, `metrics` the text of its metrics, None where there are none."""

    protocol_version = "HTTP/1.1"
    model, metrics, health = "", None, "/health"

    def do_GET(self):
        if self.path == self.health:
            self.send(200, b"")
        elif self.path == "/v1/models":
            self.answer({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models()]})
        elif self.path == "/metrics" and self.metrics is not None:
            self.send(200, self.metrics.encode())
        else:
            self.answer({"detail": "Not Found"}, 404)

    def do_POST(self):
        body = self.body()
        if self.path not in ("/v1/chat/completions", "/v1/completions"):
            self.answer({"detail": "Not Found"}, 404)
            return
        if error := self.refused(body.get("model", "")):
            self.answer({"error": {"message": error, "type": "not_found_error", "code": None}}, 404)
            return
        chat = "chat" in self.path
        if not body.get("stream"):
            text = "".join(WORDS)
            choice = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
            self.answer({"choices": [{"index": 0, "finish_reason": "stop", **choice}]})
            return
        chunks = [{"delta": {"content": word}} if chat else {"text": word} for word in WORDS]
        lines = [json.dumps({"choices": [{"index": 0, "finish_reason": None, **chunk}]}) for chunk in chunks]
        self.send(200, "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]).encode(), "text/event-stream")

    def models(self):
        return [self.model]

    def refused(self, model):
        """SGLang and TensorRT-LLM answer for any name."""
        return ""

    def body(self):
        return json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")

    def answer(self, data, status=200):
        self.send(status, json.dumps(data).encode(), "application/json")

    def send(self, status, body, kind="text/plain"):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        print("stand-in:", self.command, self.path, flush=True)


def serve(api, host, port):
    """Until SIGTERM."""
    print("stand-in: serving", flush=True)
    http.server.ThreadingHTTPServer((host, int(port)), api).serve_forever()


def sglang(argv):
    """Ranks meet at --dist-init-addr; rank 0 answers clients, the others a look at their health."""
    flags, words = parsed("sglang", argv, "launch_server.py: error: unrecognized arguments: {}")
    if words:
        sys.exit(f"launch_server.py: error: unrecognized arguments: {' '.join(words)}")
    print(f"server_args=ServerArgs(api_key={flags.get('--api-key')!r})", flush=True)
    if FAULT == "memory":
        sys.exit("RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.")
    count, rank = int(flags.get("--nnodes", 1)), int(flags.get("--node-rank", 0))
    kept = meet(flags["--dist-init-addr"], count, rank) if count > 1 else []
    Api.model = flags.get("--served-model-name", flags["--model-path"])
    Api.metrics = "sglang:num_running_reqs 0\n" if flags.get("--enable-metrics") else None
    serve(Api, flags.get("--host", "127.0.0.1"), flags.get("--port", 30000))
    return kept


def meet(address, count, rank):
    """Every rank at the address of the first, and what keeps them together."""
    host, _, port = address.rpartition(":")
    limit = 10 if FAULT == "absent" else 60
    try:
        if rank:
            if FAULT == "absent":
                time.sleep(3600)
            deadline = time.monotonic() + limit
            while True:
                try:
                    peer = socket.create_connection((host, int(port)), timeout=limit)
                    break
                except ConnectionRefusedError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.2)
            threading.Thread(target=end_with, args=(peer,), daemon=True).start()
            return [peer]
        server = socket.create_server((host, int(port)))
        server.settimeout(limit)
        return [server, *(server.accept()[0] for _ in range(count - 1))]
    except OSError:
        sys.exit(f"torch.distributed.DistNetworkError: The client socket has timed out after {limit}s")


def end_with(peer):
    """A rank ends when the first one is gone."""
    peer.settimeout(None)
    peer.recv(1)
    os._exit(1)


def trtllm_serve(argv):
    """`trtllm-serve MODEL ...`; on several nodes it wants the ranks that its launcher started."""
    flags, words = parsed("trtllm", argv, "Error: No such option: {}")
    options = json.loads(Path(flags["--extra_llm_api_options"]).read_text())
    fraction = options["kv_cache_config"]["free_gpu_memory_fraction"]
    print(f"stand-in: free_gpu_memory_fraction {fraction}", flush=True)
    if FAULT == "memory":
        sys.exit("[TRT-LLM] [E] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 896.00 MiB.")
    if int(flags.get("--tp_size", 1)) != int(os.environ.get("tllm_mpi_size", 1)):  # noqa: SIM112 - its name
        sys.exit("RuntimeError: the world size of MPI is not that of the model")
    if FAULT == "rank":
        time.sleep(3600)
    Api.model, Api.metrics = words[0], "[]"
    serve(Api, flags.get("--host", "localhost"), flags.get("--port", 8000))


class Ollama(Api):
    """Its own API and OpenAI's; models of the library are those whose name does not say otherwise."""

    health = "/"
    store = Path("/root/.ollama/models.json")
    loaded: ClassVar = {}

    def do_GET(self):
        known = {
            "/api/version": {"version": "0.0.0-stand-in"},
            "/api/tags": {"models": [{"name": name, "size": GIB} for name in self.kept()]},
            "/api/ps": {"models": [{"name": name, "size": 2 * GIB} for name in self.loaded]},
        }
        if self.path in known:
            self.answer(known[self.path])
        else:
            super().do_GET()

    def do_POST(self):
        if not self.path.startswith("/api/"):
            super().do_POST()
            return
        body, verb = self.body(), self.path.removeprefix("/api/")
        if verb != "pull" and (error := self.refused(body.get("from", body["model"]))):
            self.answer({"error": error}, 404)
        else:
            getattr(self, verb)(body)

    def pull(self, body):
        if "absent" in body["model"]:
            self.stream([{"status": "pulling manifest"}, {"error": "pull model manifest: file does not exist"}])
            return
        self.keep({full(body["model"]): ""})
        layers = [{"status": "pulling a", "digest": "a", "total": 100, "completed": done} for done in (0, 50, 100)]
        self.stream([{"status": "pulling manifest"}, *layers, {"status": "success"}])

    def create(self, body):
        self.keep({full(body["model"]): "\n".join(f"{k:<30} {v}" for k, v in body["parameters"].items())})
        self.stream([{"status": "success"}])

    def show(self, body):
        self.answer({"parameters": self.kept()[full(body["model"])]})

    def generate(self, body):
        name = full(body["model"])
        if FAULT == "memory":
            words = "model requires more system memory (97.1 GiB) than is available (61.4 GiB)"
            self.answer({"error": words}, 500)
            return
        if body.get("keep_alive") == 0:
            self.loaded.pop(name, None)
        else:
            self.loaded[name] = body.get("keep_alive")
        self.answer({"model": body["model"], "done": True, "done_reason": "load"})

    def models(self):
        return list(self.kept())

    def refused(self, model):
        return "" if full(model) in self.kept() else f"model '{model}' not found"

    def kept(self):
        return json.loads(self.store.read_text()) if self.store.exists() else {}

    def keep(self, more):
        self.store.write_text(json.dumps({**self.kept(), **more}))

    def stream(self, lines):
        self.send(200, "".join(json.dumps(line) + "\n" for line in lines).encode(), "application/x-ndjson")


def full(name):
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def ollama(argv):
    """`ollama serve`, which takes no flags; its variables are those that it documents."""
    if argv != ["serve"]:
        sys.exit(f'Error: unknown command {argv!r} for "ollama"')
    strange = {name for name in os.environ if name.startswith("OLLAMA_")} - {*FLAGS["ollama"]["variables"]}
    if strange:
        sys.exit(f"stand-in: Ollama documents no {', '.join(sorted(strange))}")
    host, _, port = os.environ["OLLAMA_HOST"].rpartition(":")
    if not re.fullmatch(r"127(\.\d+){3}", host):
        sys.exit("stand-in: Ollama would be open to the network")
    serve(Ollama, host, port)


ROLES = {"sglang": sglang, "trtllm-serve": trtllm_serve, "ollama": ollama}

if __name__ == "__main__":
    ROLES[Path(sys.argv[0]).name](sys.argv[1:])
