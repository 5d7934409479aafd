"""Download one revision of a model into a Hugging Face cache; sent to a node and run there by its own python3.

Reads a job as JSON from argv[1]: endpoint, repo, revision, cache (the folder that holds `hub`), token_file, allow
(globs), workers, marker. Prints one JSON object a line: {"total": bytes}, {"done": bytes}, {"commit": sha}, or
{"error": text, "fix": text}. Only the standard library: nothing has to be installed on the node. Layout and headers
are those that the huggingface_hub documentation describes: blobs by hash, snapshots of links, refs.
"""

import concurrent.futures
import fnmatch
import hashlib
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

CHUNK = 1 << 20
TRIES = 5
JOB = json.loads(sys.argv[1])
FOLDER = os.path.join(JOB["cache"], "hub", "models--" + JOB["repo"].replace("/", "--"))
LOCK = threading.Lock()
DONE = {}
SAID = [0.0]


class Refused(Exception):
    """The hub said no: another try will not help."""


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


def digest(path, lfs):
    """SHA-256 of a large file; git's blob hash of a small one."""
    size = os.path.getsize(path)
    sha = hashlib.sha256() if lfs else hashlib.sha1(b"blob %d\0" % size)
    with open(path, "rb") as file:
        while data := file.read(CHUNK):
            sha.update(data)
    return sha.hexdigest()


def fetch(commit, entry):
    """One file: what is there already is kept and continued; a whole file with the wrong hash is thrown away."""
    lfs = entry.get("lfs")
    want = lfs["sha256"] if lfs else entry["blobId"]
    blob = os.path.join(FOLDER, "blobs", want)
    if os.path.exists(blob) and os.path.getsize(blob) == entry["size"]:
        count(entry["rfilename"], entry["size"])
    else:
        part = blob + ".incomplete"
        receive(commit, entry, part)
        if digest(part, lfs) != want:
            os.unlink(part)
            raise OSError("%s arrived with a wrong hash" % entry["rfilename"])
        os.replace(part, blob)
    link(commit, entry["rfilename"], blob)
    return entry["rfilename"], entry["size"]


def receive(commit, entry, part):
    have = os.path.getsize(part) if os.path.exists(part) else 0
    if have == entry["size"]:
        return
    path = "/%s/resolve/%s/%s" % (JOB["repo"], commit, urllib.parse.quote(entry["rfilename"]))
    with get(path, have) as answer, open(part, "ab") as file:
        if have and answer.status != 206:
            have = 0
            file.truncate(0)
        while data := answer.read(CHUNK):
            file.write(data)
            have += len(data)
            count(entry["rfilename"], have)
    if have != entry["size"]:
        raise OSError("%s was cut short" % entry["rfilename"])


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
        try:
            return work(*args)
        except (OSError, urllib.error.URLError) as error:
            if attempt == TRIES - 1:
                raise
            say(note="%s; trying again" % error)
            time.sleep(2**attempt)
    raise AssertionError("the last try raises")


def main():
    begun = JOB["marker"] + ".begun"
    if not os.path.isdir(FOLDER):
        open(begun, "w").close()
    for folder in ("blobs", "refs", "snapshots"):
        os.makedirs(os.path.join(FOLDER, folder), exist_ok=True)
    revision = urllib.parse.quote(JOB["revision"], safe="")
    with tried(get, "/api/models/%s/revision/%s?blobs=true" % (JOB["repo"], revision)) as answer:
        info = json.load(answer)
    commit = info["sha"]
    files = [f for f in info["siblings"] if any(fnmatch.fnmatch(f["rfilename"], glob) for glob in JOB["allow"])]
    say(total=sum(f["size"] for f in files))
    with concurrent.futures.ThreadPoolExecutor(JOB["workers"]) as pool:
        futures = [pool.submit(tried, fetch, commit, f) for f in sorted(files, key=lambda f: -f["size"])]
        got = sorted(future.result() for future in futures)
    if JOB["revision"] != commit:
        ref = os.path.join(FOLDER, "refs", JOB["revision"])
        os.makedirs(os.path.dirname(ref), exist_ok=True)
        with open(ref, "w") as file:
            file.write(commit)
    record = {"commit": commit, "files": got, "ours": os.path.exists(begun)}
    with open(JOB["marker"] + ".new", "w") as file:
        json.dump(record, file)
    os.replace(JOB["marker"] + ".new", JOB["marker"])
    if os.path.exists(begun):
        os.unlink(begun)
    say(commit=commit)


try:
    main()
except Refused as no:
    say(error=no.args[0], fix=no.args[1])
    sys.exit(1)
except (OSError, urllib.error.URLError) as error:
    say(error=str(error), fix="check the node's disk and its way to %s, then run up again" % JOB["endpoint"])
    sys.exit(1)
