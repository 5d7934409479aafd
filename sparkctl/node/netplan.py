"""Change the netplan of a node so that it goes back by itself, unless somebody who got in afterwards keeps it.

`netplan.py VERB`, as root; a job as JSON on standard input, everything in one folder below /run:

- `change`: {"file", "content" (null: no file), "links", "seconds", "record"}: check the wished netplan in a copy of
  /etc, remember what is there now, arm a timer of systemd that restores it, and apply from a unit of its own, which
  outlives the connection. `links` are the interfaces, each with the address that it is to have. What was there first
  of all is kept in the file `record`, with which `undo` works.
- `undo`: {"file", "links", "seconds", "record"}: the same towards what `record` holds.
- `ended`: print {"ended": whether the apply has, "error": why it failed, "back": whether the timer came first}.
- `keep`: disarm the timer, and tidy up, unless it has begun to go back. `leave`: tidy up after it went back.
- `apply`, `back`: what the units run. Other addresses, routes and MTU than netplan knows of are put back by ip(8).
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FOLDER = Path("/run/sparkctl-netplan")
BACK, APPLY = "sparkctl-netplan-back", "sparkctl-netplan-apply"
NETWORKD = "systemd-networkd.service"
HEAD_START = 1.0  # seconds for the answer to `change` to leave before the network moves
SETTLE = 3.0  # seconds that netplan gets to bring back addresses by itself before ip(8) does
ARRIVE = 15.0  # seconds that new addresses get: a link may go down for some when its MTU changes
CONFIGS = ("etc/netplan", "lib/netplan", "run/netplan")
Json = dict[str, Any]


class Refused(Exception):
    """Netplan or systemd said no; nothing has changed."""


def call(*argv: str) -> str:
    """What a command prints. Raises Refused with its last words."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Refused((done.stderr or done.stdout).strip()[-600:] or f"{argv[0]} ended with {done.returncode}")
    return done.stdout


def check(file: str, content: str | None) -> None:
    """Let netplan read all configuration as it would be. Raises Refused."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as root:
        for folder in CONFIGS:
            if Path("/", folder).is_dir():
                shutil.copytree(Path("/", folder), Path(root, folder))
        place(root + file, content)
        call("netplan", "generate", "--root-dir", root)


def place(file: str, content: str | None) -> None:
    """The file with that content, for root alone and whole at any time; or no file."""
    path = Path(file)
    if content is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".sparkctl-new")  # netplan reads *.yaml alone
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(content)
    new.replace(path)


def look(file: str, links: Iterable[str]) -> Json:
    """File and links as they are."""
    path = Path(file)
    content = path.read_text() if path.exists() else None
    return {
        "file": file,
        "content": content,
        "networkd": not quietly("systemctl", "is-active", "--quiet", NETWORKD),
        "links": {link: look_at(link) for link in links if exists(link)},
    }


def exists(link: str) -> bool:
    """Whether there is such an interface."""
    return Path("/sys/class/net", link).exists()


def look_at(link: str) -> Json:
    """State, MTU, IPv4 addresses and routes of an interface, as arguments of ip(8)."""
    shown: list[Json] = json.loads(call("ip", "-j", "-4", "addr", "show", "dev", link))
    found = [info for row in shown if row.get("ifname") == link for info in row["addr_info"]]
    routes = [line.split() for line in call("ip", "-4", "route", "show", "dev", link).splitlines()]
    return {
        "up": "UP" in call("ip", "link", "show", "dev", link).partition("<")[2].partition(">")[0].split(","),
        "mtu": Path("/sys/class/net", link, "mtu").read_text().strip(),
        "addresses": {f"{info['local']}/{info['prefixlen']}": info.get("broadcast", "") for info in found},
        "routes": [[word for word in route if word not in ("linkdown", "dead")] for route in routes],
    }


def restore(state: Json) -> None:
    """The file as it was, netplan applied, and of the links what netplan does not bring back."""
    place(state["file"], state["content"])
    said = subprocess.run(("netplan", "apply"), capture_output=True, check=False, stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + SETTLE
    while time.monotonic() < deadline and any(lacking(link, was) for link, was in state["links"].items()):
        time.sleep(0.2)
    if not state["networkd"]:  # netplan has started it
        quietly("systemctl", "stop", NETWORKD.replace(".service", ".socket"), NETWORKD)
    for link, was in state["links"].items():
        if exists(link):
            mend(link, was)
    if said.returncode:
        raise Refused(said.stderr.decode(errors="replace").strip()[-600:])


def lacking(link: str, was: Json) -> list[str]:
    """Addresses that the link had and has not."""
    return sorted({*was["addresses"]} - {*look_at(link)["addresses"]}) if exists(link) else []


def mend(link: str, was: Json) -> None:
    """Make the link what it was; a route that the kernel makes with its address is refused the second time."""
    ip = ("ip", "-4")
    for address in {*look_at(link)["addresses"]} - {*was["addresses"]}:
        attempt(*ip, "addr", "del", address, "dev", link)
    attempt("ip", "link", "set", "dev", link, "mtu", was["mtu"], *(("up",) if was["up"] else ()))
    for address in lacking(link, was):
        broadcast = was["addresses"][address]
        attempt(*ip, "addr", "add", address, *(("brd", broadcast) if broadcast else ()), "dev", link)
    for route in was["routes"]:
        attempt(*ip, "route", "replace", *route, "dev", link)


def attempt(*argv: str) -> None:
    """Run it; the next one counts, too, where this one fails."""
    subprocess.run(argv, check=False, stdin=subprocess.DEVNULL)


def quietly(*argv: str) -> int:
    """Run what has nothing to say where there is nothing to do; its status."""
    return subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode


def begin(job: Json, wished: Json) -> None:
    """Check, remember, arm, and start the apply. Raises Refused; nothing is armed then."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    check(job["file"], wished["content"])
    quietly("systemctl", "reset-failed", f"{BACK}.service")
    tell("wished.json", wished)
    for name in ("ended.json", "back-ended"):
        FOLDER.joinpath(name).unlink(missing_ok=True)
    me = str(Path(__file__).resolve())
    timer = f"--on-active={job['seconds']:g}"
    call("systemd-run", f"--unit={BACK}", timer, "--timer-property=AccuracySec=100ms", sys.executable, me, "back")
    try:
        call("systemd-run", f"--unit={APPLY}", "--collect", sys.executable, me, "apply")
    except Refused:
        attempt("systemctl", "stop", f"{BACK}.timer")
        raise


def alone() -> None:
    """Raises Refused while an earlier change may still go back: what it goes back to must not be lost."""
    if not quietly("systemctl", "is-active", "--quiet", f"{BACK}.timer", f"{BACK}.service"):
        raise Refused("an earlier change has not been kept, and will be taken back: try again in a minute")


def change(job: Json) -> None:
    """Towards a file of ours; links are left to netplan. What is there first of all goes on record."""
    alone()
    now, record = look(job["file"], job["links"]), Path(job["record"])
    tell("back.json", {**now, "drop": "" if record.exists() else str(record)})
    wished = {"file": job["file"], "content": job["content"], "networkd": True, "links": {}, "drop": ""}
    begin(job, {**wished, "arrive": job["links"], "patience": min(ARRIVE, job["seconds"] / 2)})
    if not record.exists():
        place(str(record), json.dumps(now))


def undo(job: Json) -> None:
    """Towards what was there first of all; the record goes with the change."""
    alone()
    tell("back.json", {**look(job["file"], job["links"]), "drop": ""})
    begin(job, {**json.loads(Path(job["record"]).read_text()), "drop": job["record"], "arrive": {}, "patience": 0})


def apply() -> None:
    """What the unit does: the wish of `begin`, and how that ended."""
    time.sleep(HEAD_START)
    error, wished = "", json.loads(FOLDER.joinpath("wished.json").read_text())
    try:
        restore(wished)
        arrive(wished["arrive"], wished["patience"])
    except Refused as refused:
        error = str(refused) or "netplan apply failed"
    tell("ended.json", {"error": error})


def arrive(links: dict[str, str], seconds: float) -> None:
    """Wait until every link has its address, but no longer than that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not all(carries(link, address) for link, address in links.items()):
        time.sleep(0.2)


def carries(link: str, address: str) -> bool:
    """Whether the link has the address."""
    return exists(link) and address in {one.partition("/")[0] for one in look_at(link)["addresses"]}


def back() -> None:
    """What the timer does, or whoever does not wait for it: as it was before `begin`."""
    quietly("systemctl", "stop", f"{BACK}.timer", f"{APPLY}.service")
    if not decide("going-back.json"):
        return
    was = json.loads(FOLDER.joinpath("going-back.json").read_text())
    try:
        restore(was)
    finally:
        drop(was)
        tell("back-ended", {})


def ended() -> Json:
    """How far it is."""
    path = FOLDER / "ended.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    return {"ended": bool(found), "error": found.get("error", ""), "back": FOLDER.joinpath("back-ended").exists()}


def keep() -> None:
    """The change stays: no timer any more. Raises Refused where the way back has begun."""
    attempt("systemctl", "stop", f"{BACK}.timer")
    if not decide("kept.json"):
        raise Refused("nobody got in before its time was over: the node has gone back")
    drop(json.loads(FOLDER.joinpath("wished.json").read_text()))
    leave()


def decide(name: str) -> bool:
    """Whether the change is ours to keep, or to take back: the way back can be had once, under that name."""
    try:
        FOLDER.joinpath("back.json").rename(FOLDER / name)
    except FileNotFoundError:
        return False
    return True


def leave() -> None:
    """Nothing of this program stays."""
    quietly("systemctl", "reset-failed", f"{BACK}.service")
    shutil.rmtree(FOLDER, ignore_errors=True)


def drop(state: Json) -> None:
    """Forget the record that this state has no use for."""
    if state["drop"]:
        Path(state["drop"]).unlink(missing_ok=True)


def tell(name: str, data: Json) -> None:
    """Leave a note for the units and for `ended`."""
    place(str(FOLDER / name), json.dumps(data))


def main(verb: str) -> int:
    """One verb; what netplan or systemd refuses goes to standard error."""
    try:
        if verb in ("change", "undo"):
            {"change": change, "undo": undo}[verb](json.load(sys.stdin))
        elif verb == "ended":
            print(json.dumps(ended()))
        else:
            {"apply": apply, "back": back, "keep": keep, "leave": leave}[verb]()
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
