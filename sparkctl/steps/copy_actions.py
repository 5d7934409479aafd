"""The actions of the model store `copy`: parallel rsync over the fabric, verification by checksum, removal."""

import re
import shlex
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

from sparkctl.amounts import plural, size
from sparkctl.core.action import Context, Progress
from sparkctl.errors import Interrupted, StepFailed
from sparkctl.facts.model import folder_name
from sparkctl.facts.model_files import PARTIAL, copy_record
from sparkctl.steps.host_state import tidy
from sparkctl.steps.ssh_trust import ssh_options
from sparkctl.steps.ssh_trust_actions import Way
from sparkctl.topology import Cluster, Node
from sparkctl.transport.session import Session

CIPHERS = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com"
"""AES first: both architectures have instructions for it, and one stream is bound by one core's cipher."""

_BYTES = re.compile(r"\s*([0-9,.]+)\s+[0-9]+%")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class CopyJob:
    """What is copied: a model's folder on the head and on the worker, and the record on the worker."""

    cluster: Cluster
    worker: Node
    repo: str
    source: str
    target: str
    record: str


def job_of(cluster: Cluster, worker: Node, repo: str, source: str, target: str) -> CopyJob:
    """The job for one model from cache to cache, by the layout of the Hugging Face cache."""
    name = f"hub/{folder_name(repo)}"
    return CopyJob(cluster, worker, repo, f"{source}/{name}", f"{target}/{name}", copy_record(cluster, worker, repo))


@dataclass(frozen=True)
class CopyModel:
    """Bring files to a worker: the blobs first, spread over parallel streams, then the links that point at them.

    `sizes` are (path, bytes). A stream that is cut leaves what it brought, and the next run goes on from there.
    """

    job: CopyJob
    sizes: tuple[tuple[str, int], ...]
    parallel: int

    @property
    def summary(self) -> str:
        """One line of the plan."""
        total = size(sum(count for _, count in self.sizes))
        return f"copy {self.job.repo} to {self.job.worker.name}: {plural(len(self.sizes), 'file')}, {total}"

    @property
    def detail(self) -> str:
        """The command at the heart of it, run on the head."""
        return f"on {self.job.cluster.head.name}, {self.parallel} at once: {shlex.join(rsync(self.job))}"

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost, Interrupted."""
        context.session.script(_begin(self.job))
        head = context.peers[self.job.cluster.head.name]
        blobs = [(path, count) for path, count in self.sizes if path.startswith("blobs/")]
        others = tuple(path for path, _ in self.sizes if not path.startswith("blobs/"))
        watch = Watch(context, self.summary, sum(count for _, count in self.sizes))
        shares = spread(blobs, self.parallel)
        with ThreadPoolExecutor(max_workers=len(shares) or 1) as pool:
            streams = [
                pool.submit(_stream, head, self.job, share, watch.part(number)) for number, share in enumerate(shares)
            ]
            for stream in streams:
                stream.result()
        if others:
            _stream(head, self.job, others, watch.part(len(shares)))


@dataclass(frozen=True)
class VerifyCopy:
    """Compare checksums, mend once what differs, and put the listing's digest on record.

    A blob named by its SHA-256 must have it; every other file must have the same SHA-256 on both nodes.
    """

    job: CopyJob
    digest: str

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"verify the copy of {self.job.repo} by checksum"

    @property
    def detail(self) -> str:
        """What is run on both nodes."""
        return _sums_script(self.job.target).strip()

    def perform(self, context: Context) -> None:
        """Raises StepFailed when a file stays wrong, CommandFailed, ConnectionLost."""
        context.session.script(_begin(self.job))
        head = context.peers[self.job.cluster.head.name]
        wrong = self._wrong(context, head)
        if wrong:
            context.say(f"copying again what differs: {len(wrong)} of the files")
            context.session.script("".join(f"rm -f {shlex.quote(f'{self.job.target}/{path}')}\n" for path in wrong))
            _stream(head, self.job, wrong, lambda _: None)
            wrong = self._wrong(context, head)
        if wrong:
            raise StepFailed(
                f"{len(wrong)} files of {self.job.repo} are not what their checksums say: {', '.join(wrong[:3])}",
                where=self.job.worker.name,
                fix=f"the copy on {self.job.cluster.head.name} may be damaged: remove {self.job.source}/{wrong[0]} "
                "there, and run up again to download it anew",
            )
        line = shlex.quote(f"verified {self.digest}")
        context.session.script(f"printf '%s\\n' {line} >>{shlex.quote(self.job.record)}")

    def _wrong(self, context: Context, head: Session) -> tuple[str, ...]:
        with ThreadPoolExecutor(max_workers=2) as pool:
            there_, here_ = (
                pool.submit(_sums, head, self.job.source),
                pool.submit(_sums, context.session, self.job.target),
            )
            there, here = there_.result(), here_.result()
        return tuple(sorted(path for path, found in there.items() if here.get(path) != _expected(path, found)))


@dataclass(frozen=True)
class RemoveCopy:
    """Forget a copy; where sparkctl `made` the folder, remove its files as well."""

    job: CopyJob
    made: bool

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"{'remove' if self.made else 'keep, but forget,'} the copy of {self.job.repo}"

    @property
    def detail(self) -> str:
        """The script itself."""
        record, above = shlex.quote(self.job.record), shlex.quote(self.job.record.rpartition("/")[0])
        state = self.job.cluster.state_dir(self.job.worker)
        remove = f"rm -rf {shlex.quote(self.job.target)}\n" if self.made else ""
        return f"set -eu\n{remove}rm -f {record}\nrmdir {above} 2>/dev/null || true\n{tidy(state)}"

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        context.session.script(self.detail, timeout=600)


class Watch:
    """Adds up what parallel streams report, in bytes; ends them when the run is asked to stop."""

    def __init__(self, context: Context, message: str, total: int) -> None:
        self._context, self._message, self._total = context, message, total
        self._done: dict[int, int] = {}
        self._lock = Lock()

    def part(self, number: int) -> Callable[[str], None]:
        """Reads the lines of one stream, as `rsync --info=progress2` prints them."""

        def see(line: str) -> None:
            if self._context.stop.is_set():
                raise Interrupted("stopped while copying; the next up goes on from here")
            if match := _BYTES.match(line):
                with self._lock:
                    self._done[number] = int(re.sub(r"[,.]", "", match[1]))
                    done = min(sum(self._done.values()), self._total)
                self._context.report(Progress(self._message, done, self._total, "B"))

        return see


def rsync(job: CopyJob) -> tuple[str, ...]:
    """One stream, run on the head; the paths of its files come over standard input, ended by NUL."""
    ssh = (*ssh_options(Way(job.cluster, job.cluster.head, job.worker)), "-c", CIPHERS, "-o", "Compression=no")
    return (
        "rsync", "-a", "--partial-dir", PARTIAL, "--files-from=-", "--from0", "--info=progress2", "--no-h",
        "-e", shlex.join(ssh), f"{job.source}/", f"{job.worker.user}@{job.worker.data_ip}:{job.target}/",
    )  # fmt: skip


def spread(sizes: list[tuple[str, int]], parts: int) -> list[tuple[str, ...]]:
    """Paths in at most `parts` shares of near equal bytes: the largest first, each to the share with least so far."""
    shares: list[list[str]] = [[] for _ in range(max(1, min(parts, len(sizes))))]
    loads = [0] * len(shares)
    for path, count in sorted(sizes, key=lambda item: -item[1]):
        least = loads.index(min(loads))
        shares[least].append(path)
        loads[least] += count
    return [tuple(share) for share in shares if share]


def _begin(job: CopyJob) -> str:
    """Remember whether the model's folder is ours, before it is made."""
    record, target = shlex.quote(job.record), shlex.quote(job.target)
    return f"""\
set -eu
mkdir -p {shlex.quote(job.record.rpartition("/")[0])}
if [ ! -e {record} ]; then
  if [ -d {target} ]; then made=found; else made=made; fi
  printf '# managed by sparkctl\\n%s\\n' $made >{record}.new
  mv {record}.new {record}
fi
mkdir -p {target}
"""


def _stream(head: Session, job: CopyJob, paths: tuple[str, ...], on_line: Callable[[str], None]) -> None:
    """Run one rsync on the head; `tr` makes lines of what rsync draws over itself."""
    text = f"{shlex.join(rsync(job))} | stdbuf -oL tr '\\r' '\\n'\nexit ${{PIPESTATUS[0]}}\n"
    head.script(text, stdin="".join(f"{path}\0" for path in paths).encode(), timeout=None, on_line=on_line)


def _sums_script(folder: str) -> str:
    """SHA-256 of every file, two at once: hashing one large file at a time would leave the disk idle."""
    return (
        f"cd {shlex.quote(folder)} || exit 3\n"
        f"find . -name {PARTIAL} -prune -o -type f ! -name '*.incomplete' -printf '%P\\0' |"
        " xargs -0 -r -P 2 -n 1 sha256sum\n"
    )


def _sums(session: Session, folder: str) -> Mapping[str, str]:
    result = session.script(_sums_script(folder), timeout=None)
    rows = (line.split("  ", 1) for line in result.stdout.splitlines())
    return {row[1]: row[0] for row in rows if len(row) == 2}


def _expected(path: str, found: str) -> str:
    """The name of a blob is its SHA-256 where it looks like one: the hub names large files so."""
    name = path.rpartition("/")[2]
    return name if path.startswith("blobs/") and _SHA256.fullmatch(name) else found
