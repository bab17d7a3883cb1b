"""What the page says about an item being verified: each check done again for this answer, with its outcome in words.

Decided here: the light checks (signatures, receipt, log, custody) are done for every row of a list; reading all bytes
again is done on an item's own page. A check that cannot be done yet (the journal is still on its way) is `waiting`,
never passed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sync.central.rows import ChainRow, ItemRow
from sync.central.store import Store
from vedette import proof, records
from vedette.errors import VedetteError
from vedette.keys import PublicKey
from vedette.trust import Trust

Outcome = Literal["passed", "failed", "waiting"]
READ_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check of an item: `name` is signature, receipt, log, custody or bytes; `detail` says why when it did not
    pass.
    """

    name: str
    outcome: Outcome
    detail: str = ""


def light_checks(store: Store, row: ItemRow, trust: Trust) -> list[Check]:
    """Signature, receipt, log inclusion and custody of one item; reads none of its sealed bytes."""
    return [
        _check("signature", lambda: _check_signature(store, row)),
        _check("receipt", lambda: _check_receipt(store, row, trust)),
        _check("log", lambda: _check_log(store, row, trust)),
        custody_check(row, store.chains(row.device)),
    ]


def bytes_check(store: Store, row: ItemRow) -> Check:
    """Read the sealed bytes and compare their SHA-256 and size with the signed manifest."""
    return _check("bytes", lambda: _check_bytes(store, row))


def overall(checks: Sequence[Check]) -> Outcome:
    """`failed` if one failed, `waiting` if one waits, else `passed`."""
    outcomes: Mapping[Outcome, bool] = {check.outcome: True for check in checks}
    return "failed" if "failed" in outcomes else "waiting" if "waiting" in outcomes else "passed"


def custody_check(row: ItemRow, chains: Sequence[ChainRow]) -> Check:
    """Whether the journal that the item's manifest names has arrived and verified at least that far."""
    if row.problem:
        return Check(name="custody", outcome="failed", detail=row.problem)
    journal = row.manifest.journal
    if journal is None:
        broken = [chain.problem for chain in chains if chain.problem]
        return Check(name="custody", outcome="failed" if broken else "passed", detail="; ".join(broken))
    chain = next((one for one in chains if one.service == journal.service), None)
    if chain is not None and chain.problem:
        return Check(name="custody", outcome="failed", detail=chain.problem)
    if chain is None or chain.seq < journal.seq:
        return Check(name="custody", outcome="waiting", detail=f"{journal.service} {journal.seq}")
    return Check(name="custody", outcome="passed")


def _check(name: str, verify: Callable[[], None]) -> Check:
    try:
        verify()
    except VedetteError as error:
        return Check(name=name, outcome="failed", detail=str(error))
    return Check(name=name, outcome="passed")


def _check_signature(store: Store, row: ItemRow) -> None:
    key = PublicKey.from_text(store.device(row.device).public_key)
    records.open_manifest(store.manifest(row.item), records.keyring(key))


def _check_receipt(store: Store, row: ItemRow, trust: Trust) -> None:
    receipt = records.open_receipt(store.receipt(row.item), records.keyring(trust.centre))
    records.check_receipt(receipt, row.manifest, hashlib.sha256(store.manifest(row.item)).hexdigest())


def _check_log(store: Store, row: ItemRow, trust: Trust) -> None:
    leaf, _ = proof.verify(proof.Proof.from_text(store.proof(row.item)), trust.log_origin, trust.centre)
    logged = (leaf.item, leaf.device, leaf.sealed_sha256, leaf.manifest_sha256)
    if logged != (row.item, row.device, row.sealed_sha256, row.manifest_sha256):
        raise VedetteError(f"the log's leaf {row.log_index} speaks of other bytes than item {row.item}")


def _check_bytes(store: Store, row: ItemRow) -> None:
    digest, size = hashlib.sha256(), 0
    with store.blobs.open(row.sealed_sha256) as source:
        while piece := source.read(READ_BYTES):
            digest.update(piece)
            size += len(piece)
    expected = (row.manifest.sealed_sha256, row.manifest.sealed_size)
    if (digest.hexdigest(), size) != expected:
        raise VedetteError(
            f"item {row.item}: the stored bytes are not the ones its device signed; restore them from a copy"
        )
