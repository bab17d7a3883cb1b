"""What `verify.py` knows of witnesses: a C2SP tlog-policy, cosignatures, and whether a checkpoint meets the policy.

A part of verify.py (see `vedette.verifier`): standard library only.
"""

from __future__ import annotations

import hashlib
from typing import Any

from vedette.verifier.chains import checkpoint, decimal, when
from vedette.verifier.records import Bad, Untrusted, raw64, verified

# ---- from here on in verify.py ----
# Witnesses (docs/spec/log.md): a policy, cosignatures, and whether a checkpoint meets it.
VerifierKey = tuple[str, bytes, bytes]


def verifier_key(content: str, algorithm: int) -> VerifierKey:
    """Name, key id and key of `<name>+<key id>+<base64>`."""
    name, _, rest = content.partition("+")
    mark, _, encoded = rest.partition("+")
    raw = raw64(encoded, "verifier key", 33)
    identity = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    if raw[0] != algorithm or not name or any(one.isspace() for one in name) or mark != identity.hex():
        raise Bad(f"{content[:80]!r} is not a verifier key <name>+<id>+<base64> of signature type {algorithm}")
    return name, identity, raw[1:]


def policy_of(content: str) -> Any:
    """Logs, witnesses, groups and quorum of a policy."""
    policy: dict[str, Any] = {"logs": [], "witnesses": {}, "groups": {}, "quorum": None}
    for number, line in enumerate(content.split("\n"), start=1):
        if any(one < " " and one != "\t" for one in line):
            raise Bad(f"policy, line {number}: a control character")
        words = line.replace("\t", " ").split()
        if not words or words[0].startswith("#"):
            continue
        try:
            policy_line(policy, words[0], words[1:])
        except Bad as error:
            raise Bad(f"policy, line {number}: {error}") from None
    if policy["quorum"] is None:
        raise Bad("the policy has no quorum line")
    return policy


def policy_line(policy: Any, kind: str, rest: list[str]) -> None:
    witnesses, groups = policy["witnesses"], policy["groups"]
    known = {*witnesses, *groups}
    is_new = bool(rest) and rest[0] not in {*known, "none"} and len(known) < 128
    if kind == "log" and 1 <= len(rest) <= 2 and len(policy["logs"]) < 64:
        key = verifier_key(rest[0], 1)
        if any(one[2] == key[2] for one in policy["logs"]):
            raise Bad(f"log {key[0][:40]!r} is named twice")
        policy["logs"].append(key)
    elif kind == "witness" and 2 <= len(rest) <= 3 and is_new:
        key = verifier_key(rest[1], 4)
        if any(one[2] == key[2] for one in witnesses.values()):
            raise Bad(f"the key of witness {rest[0][:40]!r} is another witness's too")
        witnesses[rest[0]] = key
    elif kind == "group" and len(rest) >= 3 and is_new:
        members = rest[2:]
        used = {one for _least, inside in groups.values() for one in inside}
        if not set(members) <= known or used & set(members) or len(set(members)) != len(members):
            raise Bad(f"group {rest[0][:40]!r} has a member that is not named before, or is one twice")
        least = decimal({"any": "1", "all": str(len(members))}.get(rest[1], rest[1]), "a group's threshold")
        if not 1 <= least <= len(members):
            raise Bad(f"group {rest[0][:40]!r} asks for {least} of {len(members)} members")
        groups[rest[0]] = (least, members)
    elif kind == "quorum" and len(rest) == 1 and policy["quorum"] is None and rest[0] in {*known, "none"}:
        policy["quorum"] = rest[0]
    else:
        raise Bad(f"{' '.join([kind, *rest])[:60]!r} is no line of a policy, or names what is taken or not there")


def cosigned(note: str, witnesses: Any) -> dict[str, int]:
    """Which witnesses' key names cosigned this note, and when (seconds)."""
    body, _, tail = note.rpartition("\n\n")
    found: dict[str, int] = {}
    for line in tail.split("\n")[:-1]:
        _dash, name, blob = line.split(" ")
        raw = raw64(blob, "note signature")
        for key_name, identity, key in witnesses.values():
            if (name, raw[:4]) != (key_name, identity):
                continue
            time_s = int.from_bytes(raw[4:12], "big")
            if len(raw) != 76 or time_s >= 1 << 53:
                raise Untrusted(f"the cosignature of {name} is not a time and an Ed25519 signature")
            try:
                verified(key, raw[12:], f"cosignature/v1\ntime {time_s}\n{body}\n".encode())
            except Untrusted:
                raise Untrusted(f"the cosignature of {name} is not over this checkpoint") from None
            found[name] = max(found.get(name, 0), time_s)
    return found


def is_met(policy: Any, name: str, names: set[str]) -> bool:
    if name == "none":
        return True
    if name in policy["witnesses"]:
        return str(policy["witnesses"][name][0]) in names
    least, members = policy["groups"][name]
    return sum(is_met(policy, one, names) for one in members) >= int(least)


def witnessed(content: str, policy: Any) -> str:
    """What the cosignatures of a proof's checkpoint say, when they meet the policy."""
    note = content.partition("\n\n")[2]
    origin = note.partition("\n")[0]
    logs = [key for name, _identity, key in policy["logs"] if name == origin]
    if not logs:
        raise Untrusted(f"the checkpoint is of log {origin[:80]!r}, which the policy does not name")
    size, _root = checkpoint(note, origin, logs[0])
    found = cosigned(note, policy["witnesses"])
    if not is_met(policy, policy["quorum"], set(found)):
        least, members = policy["groups"].get(policy["quorum"], (1, [policy["quorum"]]))
        who, wanted = ", ".join(sorted(found)) or "nobody", ", ".join(members)
        raise Untrusted(
            f"the checkpoint of {size} leaves is cosigned by {who}; the policy asks for {least} of {wanted}"
        )
    who = ", ".join(f"{name} at {when(at_s * 10**6)}" for name, at_s in sorted(found.items()) if at_s < 1 << 37)
    return f"the checkpoint of {size} leaves is cosigned by {who or 'nobody, and nobody is asked for'}"
