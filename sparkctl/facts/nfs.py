"""NFS as head and worker see it: what is exported, what is mounted, what a mount would hide."""

import shlex
from dataclasses import dataclass

from sparkctl.facts.lines import number, pairs, values
from sparkctl.facts.probe import Answer, Probe

_EXPORT_SCRIPT = """\
awk '{ print "line=" FILENAME "\\t" $0 }' /etc/exports
for file in /etc/exports.d/*.exports; do [ -f "$file" ] && awk '{ print "line=" FILENAME "\\t" $0 }' "$file"; done
as_root exportfs -s | sed 's/^/active=/'
echo "server=$(systemctl is-active nfs-server)"
exit 0
"""

_MOUNT_SCRIPT = """\
answers() {{
  stat -f "$1/." >/dev/null 2>&1 &
  pid=$!
  for pause in 0.02 0.05 0.1 0.2 0.4 0.8 1.5 2 3; do
    sleep $pause
    kill -0 $pid 2>/dev/null || {{ wait $pid; return; }}
  done
  kill -9 $pid
  return 1
}}
folder={folder}
mounts() {{ want=${{1// /\\\\040}} awk '$5 == ENVIRON["want"]' /proc/self/mountinfo; }}
parent=$(readlink -m "${{folder%/*}}/.")
at=${{parent%/}}/${{folder##*/}}
mounts=$(mounts "$at")
if [ -z "$mounts" ] && [ -L "$at" ]; then at=$(readlink -m "$at"); mounts=$(mounts "$at"); fi
echo "at=$at"
if [ -n "$mounts" ]; then
  answers "$at" && echo answers=yes
  mounts "$at" | sed 's/^/mount=/' # anew: an automount has mounted by now
else
  copy="$at"/{copy}
  if grep -qsx made {record} && [ -d "$copy" ]; then echo copied=yes; else copy=none; fi
  timeout 5 find "$at" -xdev -path "$copy" -prune -o -type f -printf '%s\\n' |
    awk '{{ s += $1 }} END {{ printf "held=%d %.0f\\n", NR, s }}'
fi
want=${{folder// /\\\\040}} awk '$1 !~ /^#/ && ($2 == ENVIRON["want"] || /x-sparkctl={cluster}(,|[ \\t])/) {{
  print "fstab=" $0 }}' /etc/fstab
exit 0
"""


@dataclass(frozen=True)
class Export:
    """One folder granted to one client; `source` is the file that says so, empty for the kernel's own table."""

    path: str
    client: str
    options: frozenset[str]
    source: str = ""


@dataclass(frozen=True)
class ExportsFact:
    """What the head exports: by the files of /etc, and by the table that is in force."""

    files: tuple[Export, ...]
    active: tuple[Export, ...]
    own_text: str
    running: bool


@dataclass(frozen=True)
class MountFact:
    """A mount point of a worker.

    `source` and `kind` are those of the topmost real mount, empty where nothing is mounted; `answers` is False when
    it did not react within eight seconds. `held_files` and `held_bytes` are what lies in the folder while nothing is
    mounted on it, without our own copy of the model, of which `copied` tells. `fstab` are the lines about the folder
    or with our mark.
    """

    at: str
    source: str
    kind: str
    answers: bool
    held_files: int
    held_bytes: int
    copied: bool
    fstab: tuple[str, ...]

    @property
    def is_nfs(self) -> bool:
        """True for the kernel's NFS and for the FUSE clients that call themselves fuse.nfs, fuse.nfs4."""
        return self.kind.removeprefix("fuse.") in {"nfs", "nfs4"}


def export_probe(own_file: str) -> Probe[ExportsFact]:
    """Ask the head what it exports; `own_file` is the file that only sparkctl writes."""
    return Probe("nfs-export", _EXPORT_SCRIPT, lambda answer: _exports(answer, own_file))


def mount_probe(folder: str, cluster: str, copy: str = "", record: str = "") -> Probe[MountFact]:
    """Ask a worker what is mounted on `folder`; a mount that hangs costs eight seconds, not the run.

    `copy` is a folder in it that is ours where the file `record` says so, as `facts.model_files.CopyRecord` has it.
    """
    quoted = {"folder": shlex.quote(folder), "copy": shlex.quote(copy), "record": shlex.quote(record)}
    script = _MOUNT_SCRIPT.format(cluster=cluster, **quoted)
    return Probe("nfs-mount", script, _mount)


def token_probe(path: str) -> Probe[str]:
    """The content of the token file, empty where there is none."""
    script = f"timeout -k 1 3 cat {shlex.quote(path)}"
    return Probe(f"nfs-token:{path}", script, lambda answer: answer.stdout.strip() if answer.rc == 0 else "")


def parse_exports(text: str, source: str = "") -> tuple[Export, ...]:
    """The grants of a file in the format of exports(5): quoting, `\\040`, continuation lines, default options."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        words = _split(line)
        path, clients = words[:1], words[1:]
        default = ""
        for client in clients:
            if client.startswith("-"):
                default = client[1:]
                continue
            name, _, options = client.partition("(")
            chosen = frozenset(filter(None, f"{default},{options.rstrip(')')}".split(",")))
            found.append(Export(path[0], name or "*", chosen, source))
    return tuple(found)


def unescape(text: str) -> str:
    """A path of fstab, mountinfo or exports, in which blanks are written as octal numbers."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def _split(line: str) -> list[str]:
    try:
        words = shlex.split(line.replace("\\", "\\\\"), comments=True)
    except ValueError:
        return []
    return [unescape(word) for word in words]


def _exports(answer: Answer, own_file: str) -> ExportsFact:
    found = values(answer.stdout)
    texts: dict[str, list[str]] = {}
    for line in found.get("line", ()):
        file, _, text = line.partition("\t")
        texts.setdefault(file.strip(), []).append(text)
    files = (parse_exports("\n".join(lines), file) for file, lines in texts.items())
    return ExportsFact(
        files=tuple(export for exports in files for export in exports),
        active=parse_exports("\n".join(found.get("active", ()))),
        own_text="".join(f"{line}\n" for line in texts.get(own_file, ())),
        running="active" in found.get("server", ()),
    )


def _mount(answer: Answer) -> MountFact:
    found = pairs(answer.stdout)
    layers = [_layer(line) for line in values(answer.stdout).get("mount", ())]
    source, kind = next((layer for layer in reversed(layers) if layer[1] not in {"", "autofs"}), ("", ""))
    count, _, size = found.get("held", "").partition(" ")
    return MountFact(
        at=found.get("at", ""),
        source=source,
        kind=kind,
        answers="answers" in found,
        held_files=number(count) or 0,
        held_bytes=number(size) or 0,
        copied="copied" in found,
        fstab=tuple(line for line in values(answer.stdout).get("fstab", ()) if len(line.split()) > 2),
    )


def _layer(line: str) -> tuple[str, str]:
    """Source and type in a line of /proc/self/mountinfo: they follow the lone dash (proc_pid_mountinfo(5))."""
    words = line.partition(" - ")[2].split(" ")
    return (unescape(words[1]), words[0]) if len(words) > 1 else ("", "")
