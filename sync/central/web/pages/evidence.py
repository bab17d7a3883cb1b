"""The stored items, one item in full with its verification, and the files that prove it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, BinaryIO

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response, StreamingResponse

from sync.central.rows import ItemRow
from sync.central.web.checks import bytes_check, light_checks, overall
from sync.central.web.site import SignedIn, draw, site_of
from vedette.records import KINDS

router = APIRouter()
PAGE_ITEMS = 30
READ_BYTES = 256 * 1024
Text = Annotated[str, Query(max_length=64)]


@router.get("/evidence")
def show_evidence(
    request: Request, session: SignedIn, kind: Text = "", device: Text = "", recording: Text = "", after: Text = ""
) -> Response:
    """Items, newest first, filtered by kind, device and recording."""
    site = site_of(request)
    store = site.store
    if kind and kind not in KINDS:
        raise HTTPException(400)
    wanted = {"kind": kind or None, "device": device or None, "recording": recording or None}
    rows = store.items(**wanted, limit=PAGE_ITEMS + 1, after=after or None)
    more = rows[PAGE_ITEMS - 1].item if len(rows) > PAGE_ITEMS else None
    badges = {row.item: overall(light_checks(store, row, site.trust)) for row in rows[:PAGE_ITEMS]}
    return draw(
        request,
        "evidence.html",
        {
            "items": rows[:PAGE_ITEMS],
            "badges": badges,
            "more": more,
            "after": after,
            "wanted": {"kind": kind, "device": device, "recording": recording},
            "kinds": KINDS,
            "devices": [one.device for one in store.devices()],
            "counts": store.counts(),
        },
    )


@router.get("/evidence/{item}")
def show_item(request: Request, session: SignedIn, item: str) -> Response:
    """One item: what it is, every check done again now, its recording, who looked."""
    site = site_of(request)
    row = site.store.item(item)
    checks = [*light_checks(site.store, row, site.trust), bytes_check(site.store, row)]
    segments = site.store.segments(row.recording) if row.recording and row.kind == "segment" else []
    site.store.note_access(session.user.name, "view", item)
    return draw(
        request,
        "item.html",
        {
            "item": row,
            "checks": checks,
            "badge": overall(checks),
            "segments": segments,
            "accesses": site.store.accesses(subject=item, limit=20),
        },
    )


@router.get("/evidence/{item}/sealed")
def download_sealed(request: Request, session: SignedIn, item: str) -> Response:
    """The sealed file as the device sent it."""
    store = site_of(request).store
    row = store.item(item)
    store.note_access(session.user.name, "download", item)
    headers = {**_attachment(row, f"{row.kind}.age"), "Content-Length": str(row.sealed_size)}
    return StreamingResponse(
        _read(store.blobs.open(row.sealed_sha256)), media_type="application/octet-stream", headers=headers
    )


@router.get("/evidence/{item}/manifest")
def download_manifest(request: Request, session: SignedIn, item: str) -> Response:
    """The manifest as the device signed it."""
    row = site_of(request).store.item(item)
    return Response(
        site_of(request).store.manifest(item), media_type="application/json", headers=_attachment(row, "manifest")
    )


@router.get("/evidence/{item}/receipt")
def download_receipt(request: Request, session: SignedIn, item: str) -> Response:
    """The centre's signed receipt."""
    row = site_of(request).store.item(item)
    return Response(
        site_of(request).store.receipt(item), media_type="application/json", headers=_attachment(row, "receipt")
    )


@router.get("/evidence/{item}/proof")
def download_proof(request: Request, session: SignedIn, item: str) -> Response:
    """The item's inclusion in the log at the newest checkpoint."""
    row = site_of(request).store.item(item)
    return Response(site_of(request).store.proof(item), media_type="text/plain", headers=_attachment(row, "proof"))


def _attachment(row: ItemRow, ending: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{row.item}.{ending}"'}


def _read(source: BinaryIO) -> Iterator[bytes]:
    with source:
        while piece := source.read(READ_BYTES):
            yield piece
