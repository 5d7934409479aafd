"""One TCP transfer over several connections: a receiver on one node, a sender on another, each on its own address.

`throughput.py receive OWN_ADDRESS PEER_ADDRESS SECONDS` prints the port that it listens on, serves one transfer by
that peer and ends; it ends after SECONDS whatever happens. `throughput.py send OWN_ADDRESS PEER_ADDRESS PORT STREAMS
SECONDS` sends for that long and prints one JSON object: {"bytes": counted by the receiver, "seconds": of its clock}.

Each connection begins with one line, `streams` as a decimal number, so that the receiver knows how many to wait for.
"""

import json
import socket
import sys
import threading
import time

PIECE = 1 << 20
"""Bytes of one call: large enough that Python's own time does not count."""
PATIENCE = 10.0
"""Seconds in which a peer must connect and answer."""


def receive(own: str, peer: str, seconds: float) -> None:
    """Serve one transfer: count what comes in, and tell the sender on each connection. Raises OSError."""
    with socket.create_server((own, 0), family=_family(own), backlog=64) as server:
        print(server.getsockname()[1], flush=True)
        deadline = time.monotonic() + seconds
        workers: list[threading.Thread] = []
        wanted = 1
        while len(workers) < wanted:
            server.settimeout(max(0.01, deadline - time.monotonic()))
            connection, origin = server.accept()
            if origin[0] != peer:
                connection.close()
                continue
            connection.settimeout(PATIENCE)
            wanted = int(_read_line(connection))
            workers.append(threading.Thread(target=_count, args=(connection,), daemon=True))
            workers[-1].start()
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))


def send(own: str, peer: str, port: int, streams: int, seconds: float) -> dict[str, float]:
    """Send over that many connections; bytes of all, and the seconds of the one that took longest. Raises OSError."""
    connections = [_dial(own, peer, port, streams) for _ in range(streams)]
    heard: list[dict[str, float]] = []
    until = time.monotonic() + seconds
    workers = [threading.Thread(target=_pour, args=(one, until, heard), daemon=True) for one in connections]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(seconds + 2 * PATIENCE)
    if len(heard) < streams:
        raise OSError(f"{streams - len(heard)} of {streams} connections broke")
    return {"bytes": sum(one["bytes"] for one in heard), "seconds": max(one["seconds"] for one in heard)}


def _dial(own: str, peer: str, port: int, streams: int) -> socket.socket:
    connection = socket.create_connection((peer, port), PATIENCE, (own, 0))
    connection.sendall(b"%d\n" % streams)
    return connection


def _pour(connection: socket.socket, until: float, heard: list[dict[str, float]]) -> None:
    piece = memoryview(bytes(PIECE))
    with connection:
        connection.sendall(piece)
        while time.monotonic() < until:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        heard.append(json.loads(_read_line(connection)))


def _count(connection: socket.socket) -> None:
    buffer, total = bytearray(PIECE), 0
    began = time.monotonic()
    with connection:
        while got := connection.recv_into(buffer):
            total += got
        answer = {"bytes": total, "seconds": time.monotonic() - began}
        connection.sendall(json.dumps(answer).encode() + b"\n")


def _read_line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            raise OSError("the peer left")
        line += byte
    return line


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def main(argv: list[str]) -> None:
    """Raises OSError and ValueError."""
    if argv[0] == "receive":
        receive(argv[1], argv[2], float(argv[3]))
    else:
        print(json.dumps(send(argv[1], argv[2], int(argv[3]), int(argv[4]), float(argv[5]))))


if __name__ == "__main__":
    sys.tracebacklimit = 0  # an error is one line on standard error
    main(sys.argv[1:])
