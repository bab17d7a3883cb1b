"""Which logs and witnesses a reader trusts and how many of them are enough: a policy file in the C2SP tlog-policy form.

Decided here: the file's grammar and limits, and whether a checkpoint meets it. The same file serves the centre (whose
witnesses it asks, by their URLs) and whoever verifies (offline). Implements TL-23 to TL-25 of docs/spec/log.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vedette import files, note
from vedette.cosignature import WitnessKey, cosignatures
from vedette.errors import Integrity, NotTrusted
from vedette.note import Checkpoint, NoteKey

MAX_POLICY_BYTES = 64 * 1024
MAX_NAMES = 64
NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Witness:
    """A witness of the policy: its key, and where it is asked ("" where nobody says)."""

    key: WitnessKey
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """At least `threshold` of `members` (witnesses or groups) must have cosigned."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Witnessed:
    """A checkpoint that meets a policy, and who cosigned it when (witness's key name → seconds since 1970)."""

    checkpoint: Checkpoint
    cosigned: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """Known logs, witnesses and groups by name, and the name whose cosignature is asked for ("none": nobody's)."""

    logs: tuple[NoteKey, ...] = ()
    witnesses: Mapping[str, Witness] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    quorum: str = NONE

    def check(self, signed: str) -> Witnessed:
        """The checkpoint in this note when a log of the policy signed it and its quorum cosigned it.

        Raises Integrity for a bad form, NotTrusted where a signature is wrong or too few are there.
        """
        text = note.open_note(signed, self.logs)
        checkpoint = note.parse_checkpoint(text)
        self._check_origin(signed, checkpoint)
        cosigned = cosignatures(signed, (one.key for one in self.witnesses.values()))
        if not self.met_by(set(cosigned)):
            who = ", ".join(sorted(cosigned)) or "nobody"
            raise NotTrusted(
                f"the checkpoint of {checkpoint.size} leaves is cosigned by {who}; the policy asks for {self._wanted()}"
            )
        return Witnessed(checkpoint=checkpoint, cosigned=cosigned)

    def met_by(self, cosigned: set[str]) -> bool:
        """Whether cosignatures under these key names meet the quorum."""
        return self.quorum == NONE or self._is_met(self.quorum, cosigned)

    def _is_met(self, name: str, cosigned: set[str]) -> bool:
        if name in self.witnesses:
            return self.witnesses[name].key.name in cosigned
        group = self.groups[name]
        return sum(self._is_met(member, cosigned) for member in group.members) >= group.threshold

    def _wanted(self) -> str:
        group = self.groups.get(self.quorum)
        if group is None:
            return self.quorum
        return f"{group.threshold} of {', '.join(group.members)}"

    def _check_origin(self, signed: str, checkpoint: Checkpoint) -> None:
        own = [key for key in self.logs if key.name == checkpoint.origin]
        if not own:
            raise NotTrusted(f"the checkpoint is of log {checkpoint.origin[:80]!r}, which the policy does not name")
        note.open_note(signed, own)


def load_policy(path: Path) -> Policy:
    """Read a policy file; the errors of `parse_policy` name it."""
    try:
        return parse_policy(files.read(path, max_bytes=MAX_POLICY_BYTES).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Integrity(f"{path}: not UTF-8 at byte {error.start}") from None
    except Integrity as error:
        raise Integrity(f"{path}: {error}") from None


def parse_policy(text: str) -> Policy:
    """Parse a policy; `Integrity` names the line that is not as it must be."""
    builder = _Builder()
    for number, line in enumerate(text.split("\n"), start=1):
        if any(character < " " and character != "\t" for character in line):
            raise Integrity(f"line {number}: a control character")
        words = line.replace("\t", " ").split()
        if not words or words[0].startswith("#"):
            continue
        try:
            builder.add(words)
        except Integrity as error:
            raise Integrity(f"line {number}: {error}") from None
    return builder.finish()


class _Builder:
    """A policy while its lines are read."""

    def __init__(self) -> None:
        self._logs: list[NoteKey] = []
        self._witnesses: dict[str, Witness] = {}
        self._groups: dict[str, Group] = {}
        self._used: set[str] = set()
        self._quorum: str | None = None

    def add(self, words: list[str]) -> None:
        """Take one line's words."""
        kind, *rest = words
        if kind == "log" and 1 <= len(rest) <= 2:
            self._add_log(NoteKey.from_text(rest[0]))
        elif kind == "witness" and 2 <= len(rest) <= 3:
            key = WitnessKey.from_text(rest[1])
            if any(one.key.public == key.public for one in self._witnesses.values()):
                raise Integrity(f"the key of witness {rest[0][:40]!r} is another witness's too")
            self._witnesses[self._new(rest[0])] = Witness(key=key, url=rest[2] if len(rest) == 3 else "")
        elif kind == "group" and len(rest) >= 3:
            self._add_group(rest[0], rest[1], rest[2:])
        elif kind == "quorum" and len(rest) == 1 and self._quorum is None:
            self._quorum = rest[0] if rest[0] == NONE else self._defined(rest[0])
        else:
            raise Integrity(f"{' '.join(words)[:60]!r} is no line of a policy, or the second quorum")

    def finish(self) -> Policy:
        """The policy; `Integrity` where it has no quorum."""
        if self._quorum is None:
            raise Integrity("the policy has no quorum line")
        return Policy(logs=tuple(self._logs), witnesses=self._witnesses, groups=self._groups, quorum=self._quorum)

    def _add_log(self, key: NoteKey) -> None:
        if any(one.public == key.public for one in self._logs) or len(self._logs) >= MAX_NAMES:
            raise Integrity(f"log {key.name[:40]!r} is named twice, or there are over {MAX_NAMES}")
        self._logs.append(key)

    def _add_group(self, name: str, threshold: str, members: list[str]) -> None:
        for member in members:
            if self._defined(member) in self._used or members.count(member) > 1:
                raise Integrity(f"{member[:40]!r} is a member twice")
        self._used.update(members)
        least = {"any": "1", "all": str(len(members))}.get(threshold, threshold)
        number = note.decimal(least, "a group's threshold")
        if not 1 <= number <= len(members):
            raise Integrity(f"group {name[:40]!r} asks for {number} of {len(members)} members")
        self._groups[self._new(name)] = Group(threshold=number, members=tuple(members))

    def _new(self, name: str) -> str:
        count = len(self._witnesses) + len(self._groups)
        if name == NONE or name in self._witnesses or name in self._groups or count >= 2 * MAX_NAMES:
            raise Integrity(f"the name {name[:40]!r} is taken, or there are over {2 * MAX_NAMES}")
        return name

    def _defined(self, name: str) -> str:
        if name not in self._witnesses and name not in self._groups:
            raise Integrity(f"{name[:40]!r} is not the name of a witness or group on a line before")
        return name
