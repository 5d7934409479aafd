"""Download one revision of a model into a Hugging Face cache; sent to a node and run there by its own python3.

Reads a job as JSON from argv[1]: endpoint, repo, revision, cache (the folder that holds `hub`), token_file, allow
(globs), workers, marker, records (a glob of the markers of this model's revisions); with `look` it asks for the commit
alone and downloads nothing. Prints one JSON object a line: {"total": bytes}, {"done": bytes}, {"commit": sha}, or
{"error": text, "fix": text}. Only the standard library: nothing has to be installed on the node. Layout and headers
are those that the huggingface_hub documentation describes: blobs by hash, snapshots of links, refs.
"""

import concurrent.futures
import fnmatch
import getpass
import glob
import hashlib
import http.client
import json
import os
import re
import shlex
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

CHUNK = 1 << 20
JOB = json.loads(sys.argv[1])
TRIES = 1 if JOB.get("look") else 5
FOLDER = os.path.join(JOB["cache"], "hub", "models--" + JOB["repo"].replace("/", "--"))
LOCK = threading.Lock()
STOP = threading.Event()
DONE = {}
SAID = [0.0]
PASSING = (OSError, http.client.HTTPException, ValueError)
"""What a network may mend: no answer, half of one, or one that is not what was asked for."""


class Refused(Exception):
    """The hub said no: another try will not help."""


class Stopped(Exception):
    """Another file failed for good."""


def say(**words):
    print(json.dumps(words), flush=True)


def count(name, size):
    """Note how much of one file is here, and say the sum twice a second at most."""
    with LOCK:
        DONE[name] = size
        if time.monotonic() - SAID[0] > 0.5:
            SAID[0] = time.monotonic()
            say(done=sum(DONE.values()))


class KeepTokenAtHome(urllib.request.HTTPRedirectHandler):
    """The hub redirects to a store on another host, which must not see the token."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new and urllib.parse.urlsplit(newurl).netloc != urllib.parse.urlsplit(req.full_url).netloc:
            new.headers.pop("Authorization", None)
        return new


OPENER = urllib.request.build_opener(KeepTokenAtHome)


def get(path, start=0):
    request = urllib.request.Request(JOB["endpoint"].rstrip("/") + path)
    if os.path.exists(JOB["token_file"]):
        with open(JOB["token_file"]) as file:
            request.add_header("Authorization", "Bearer " + file.read().strip())
    if start:
        request.add_header("Range", "bytes=%d-" % start)
    try:
        return OPENER.open(request, timeout=30)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise Refused(
                "the hub refuses %s (%d): it is gated or private" % (JOB["repo"], error.code),
                "accept its licence on the hub and set HF_TOKEN",
            ) from error
        if error.code == 404:
            raise Refused(
                "the hub has no %s at revision %s" % (JOB["repo"], JOB["revision"]), "check MODEL and model.revision"
            ) from error
        raise


def listing():
    """The commit of the revision and its files, each with name, size in bytes, hash, and whether that is SHA-256."""
    revision = urllib.parse.quote(JOB["revision"], safe="")
    with get("/api/models/%s/revision/%s?blobs=true" % (JOB["repo"], revision)) as answer:
        info = json.load(answer)
    try:
        return digits(info["sha"]), [described(f) for f in info["siblings"] if wished(f["rfilename"])]
    except (KeyError, TypeError) as error:
        raise ValueError("the hub's answer is no list of files with sizes and hashes") from error


def wished(name):
    return any(fnmatch.fnmatch(name, pattern) for pattern in JOB["allow"])


def described(sibling):
    lfs = sibling.get("lfs")
    return {
        "name": inside(sibling["rfilename"]),
        "size": sibling["size"],
        "lfs": bool(lfs),
        "hash": digits(lfs["sha256"] if lfs else sibling["blobId"]),
    }


def inside(name):
    """A name that stays in the model's folder, whoever wrote the listing."""
    if re.search(r"[\x00-\x1f\x7f]", name) or {"", ".", ".."} & set(name.split("/")):
        raise Refused("the hub lists a file that no model has: %r" % name, "check HF_ENDPOINT")
    return name


def digits(text):
    """A hash, which becomes the name of a file here."""
    if not re.fullmatch("[0-9a-f]{6,64}", text):
        raise Refused("the hub lists a hash that is none: %r" % text, "check HF_ENDPOINT")
    return text


def is_whole(path, entry):
    """Whether the content is the hub's: SHA-256 of a large file, git's blob hash of a small one."""
    if not os.path.exists(path) or os.path.getsize(path) != entry["size"]:
        return False
    sha = hashlib.sha256() if entry["lfs"] else hashlib.sha1(b"blob %d\0" % entry["size"])
    with open(path, "rb") as file:
        while data := file.read(CHUNK):
            go_on()
            sha.update(data)
    return sha.hexdigest() == entry["hash"]


def go_on():
    if STOP.is_set():
        raise Stopped


def fetch(commit, entry):
    """One file: what is there already is kept and continued; a whole file with the wrong hash is thrown away."""
    blob = os.path.join(FOLDER, "blobs", entry["hash"])
    if is_whole(blob, entry):
        count(entry["name"], entry["size"])
    else:
        part = blob + ".incomplete"
        receive(commit, entry, part)
        if not is_whole(part, entry):
            os.unlink(part)
            raise OSError("%s arrived with a wrong hash" % entry["name"])
        os.replace(part, blob)
    link(commit, entry["name"], blob)
    return entry["name"], entry["size"]


def receive(commit, entry, part):
    have = os.path.getsize(part) if os.path.exists(part) else 0
    if have > entry["size"]:
        os.unlink(part)
        have = 0
    if have and have == entry["size"]:
        return
    path = "/%s/resolve/%s/%s" % (JOB["repo"], commit, urllib.parse.quote(entry["name"]))
    with get(path, have) as answer, open(part, "ab") as file:
        if have and answer.status != 206:
            have = 0
            file.truncate(0)
        while data := answer.read1(CHUNK):
            go_on()
            file.write(data)
            have += len(data)
            count(entry["name"], have)
            if have > entry["size"]:
                break
    if have != entry["size"]:
        raise OSError("%s %s" % (entry["name"], "was cut short" if have < entry["size"] else "is longer than listed"))


def link(commit, name, blob):
    path = os.path.join(FOLDER, "snapshots", commit, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    target = os.path.relpath(blob, os.path.dirname(path))
    if os.path.islink(path) and os.readlink(path) == target:
        return
    temporary = path + ".new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.replace(temporary, path)


def tried(work, *args):
    """Try again what a network may mend, with pauses of 1, 2, 4 and 8 seconds."""
    for attempt in range(TRIES):
        go_on()
        try:
            return work(*args)
        except PermissionError:
            raise
        except PASSING as error:
            if attempt == TRIES - 1:
                raise
            say(note="%s; trying again" % (error or type(error).__name__))
            STOP.wait(2**attempt)
    raise AssertionError("the last try raises")


def fetch_all(commit, files):
    """Every file, several at a time; one that fails for good ends the others."""
    with concurrent.futures.ThreadPoolExecutor(JOB["workers"]) as pool:
        futures = [pool.submit(tried, fetch, commit, f) for f in sorted(files, key=lambda f: -f["size"])]
        try:
            return sorted(future.result() for future in concurrent.futures.as_completed(futures))
        except BaseException:
            STOP.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def is_ours(begun):
    """Whether the model's folder was made by this download or by an earlier one, of this or another revision."""
    if os.path.exists(begun) or glob.glob(JOB["records"] + ".begun"):
        return True
    for path in glob.glob(JOB["records"]):
        with open(path) as file:
            try:
                if json.load(file)["ours"]:
                    return True
            except (ValueError, KeyError, TypeError):
                continue
    return False


def main():
    if JOB.get("look"):
        say(commit=tried(listing)[0])
        return
    begun = JOB["marker"] + ".begun"
    if not os.path.isdir(FOLDER):
        open(begun, "w").close()
    for folder in ("blobs", "refs", "snapshots"):
        os.makedirs(os.path.join(FOLDER, folder), exist_ok=True)
    commit, files = tried(listing)
    say(total=sum(f["size"] for f in files))
    got = fetch_all(commit, files)
    if JOB["revision"] != commit:
        ref = os.path.join(FOLDER, "refs", JOB["revision"])
        os.makedirs(os.path.dirname(ref), exist_ok=True)
        with open(ref, "w") as file:
            file.write(commit)
    record = {"commit": commit, "files": got, "allow": JOB["allow"], "ours": is_ours(begun)}
    with open(JOB["marker"] + ".new", "w") as file:
        json.dump(record, file)
    os.replace(JOB["marker"] + ".new", JOB["marker"])
    if os.path.exists(begun):
        os.unlink(begun)
    say(commit=commit)


def fail(error, fix):
    say(error=error, fix=fix)
    sys.exit(1)


try:
    main()
except Refused as no:
    fail(*no.args)
except PermissionError as error:
    fail(str(error), "give it to the login: sudo chown -R %s %s" % (getpass.getuser(), shlex.quote(FOLDER)))
except PASSING as error:
    words = str(error) or type(error).__name__
    fail(words, "check the node's disk and its way to %s, then run up again" % JOB["endpoint"])
