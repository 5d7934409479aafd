"""The scripted engine of the gateway's benches: `python -m tests.bench.gateway_engine PORT WORDS GAP`."""

import sys

import uvicorn

from tests.standins.scripted import Reply, Scripted, create_app, in_turn


def main() -> None:
    """Answer every request with so many words, and so many seconds before each."""
    port, words, gap = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    script = in_turn(Reply(" ".join(["word"] * words), delay=gap))
    uvicorn.run(create_app(script, Scripted("")), host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    main()
