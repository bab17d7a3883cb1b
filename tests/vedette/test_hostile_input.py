"""Every parser of what comes from outside, fed with damaged good input and with noise: its own error or a right value.

A bounded number of examples here; `HYPOTHESIS_PROFILE=long` (and `make fuzz`) tries many more.
"""

from __future__ import annotations

import base64
import io
import json
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.board.position import parse_fix
from edge.redact.plan import parse_plan
from vedette import (
    age_header,
    bundle,
    canonical,
    hitfile,
    log_policy,
    note,
    proof,
    records,
    tiles,
    trust,
    watchlist,
    watchlist_csv,
    wire,
    witness,
)
from vedette.bundle_source import open_source
from vedette.cosignature import WitnessKey
from vedette.custody_entry import parse_line
from vedette.custody_heads import Head, Heads, open_heads
from vedette.custody_verify import split_lines
from vedette.errors import VedetteError
from vedette.keys import PublicKey, SigningKey
from vedette.redaction import ParentId, Redaction, Run, Silence, open_redaction
from vedette.sealed import HybridIdentity, recover, seal

VECTORS = Path(__file__).parents[1] / "vectors"
WHOLE = (VECTORS / "bundle" / "zip" / "whole.zip").read_bytes()
IDENTITY = HybridIdentity.generate()
SEALED = seal(bytes(1000), [IDENTITY.recipient])
MOST_GROWTH_KIB = 64 << 10
EXAMPLES = settings().max_examples if settings().max_examples > 100 else 150

with zipfile.ZipFile(io.BytesIO(WHOLE)) as _archive:
    PARTS = {name.rpartition(".")[2]: _archive.read(name) for name in _archive.namelist()}
    KEYS, LISTING = _archive.read("keys.json"), _archive.read("bundle.json")
KEY = WitnessKey(name="w1", public=trust.load_trust(VECTORS / "bundle" / "trust.json").centre)
POLICY = f"witness a {KEY.text} https://x/\ngroup g 1 a\nquorum g\n".encode()
HITS = json.loads((VECTORS / "hit" / "payloads.json").read_text())
LISTS = json.loads((VECTORS / "watchlist" / "lists.json").read_text())
WIRE = json.loads((VECTORS / "wire" / "wire.json").read_text())
MESSAGES = {
    one["message"]: one["text"].encode() if "text" in one else bytes.fromhex(one["hex"]) for one in WIRE["accept"]
}
POSITION = (
    b'{"accuracy_cm":500,"course_cdeg":null,"fixed_us":1795420800000000,"hdop_centi":90,"lat_e7":335731000,'
    b'"lon_e7":-75898000,"mode":"3d","satellite_time_trusted":true,"satellite_us":null,"satellites":9,"speed_cm_s":1}'
)
CSV = (
    "plate,region,reason,priority,source,valid_from,valid_to\n12345|أ|6,MA,stolen,high,dgsn,2026-11-01,2026-12-31\n"
).encode()
REDACTOR = SigningKey.generate()
REDACTION = Redaction(
    item="01a2076b-4400-7f5c-8293-c2c1e62e57d5",
    parent=ParentId(plain_sha256="ab" * 32, plain_size=9),
    plan_sha256="cd" * 32,
    derived_sha256="ef" * 32,
    derived_size=7,
    made_us=1_795_420_800_000_000,
    by="A. Tazi",
    why="disclosure",
    signer=REDACTOR.public.text,
    software="vedette",
    encoder="x264",
    models={"detector": "ab" * 32},
    width=64,
    height=48,
    frames=10,
    changed=(Run(first=0, last=3, from_us=0, to_us=120_000, regions=("plate-1", "plate-2")),),
    reasons={"plate-1": "plate", "plate-2": "plate"},
    sound="muted",
    mutes=(Silence(from_us=0, to_us=9, reason="a name", packets=3),),
    stamp="kept",
).sign(REDACTOR)
PLAN = b"""version = 1
parent_sha256 = "%b"
width = 64
height = 48
frames = 10
end_us = 360000
checked_by = "A. Tazi"
why = "disclosure"
stamp = "keep"
sound = "keep"

[[region]]
name = "plate-1"
reason = "plate"
shape = "box"
from_us = 0
to_us = 360000
keys = [[0, 8, 8, 24, 16], [360000, 16, 8, 32, 16]]

[[mute]]
from_us = 0
to_us = 1000
reason = "a name"
""" % (b"ab" * 32)
CHECKPOINT = PARTS["proof"].partition(b"\n\n")[2]
HEADS = Heads(
    device="car-1",
    told_us=1,
    time_source="ntp",
    time_error_us=2,
    heads=(Head(service="recorder", boot="01890000-0000-7000-8000-000000000001", seq=3, head="ab" * 32),),
).sign(REDACTOR)


def text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: parse(data.decode("utf-8", "replace"))


def age(data: bytes) -> object:
    return list(recover(io.BytesIO(data), [IDENTITY]))


PARSERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "canonical JSON": (PARTS["manifest"], canonical.loads),
    "manifest": (PARTS["manifest"], records.peek_manifest),
    "signed record": (PARTS["receipt"], lambda data: records.open_receipt(data, records.keyring(KEY.public))),
    "custody line": (PARTS["jsonl"].splitlines()[0], parse_line),
    "custody file": (PARTS["jsonl"], lambda data: [parse_line(line) for line in split_lines(data)]),
    "heads": (HEADS, lambda data: open_heads(data, "car-1", REDACTOR.public)),
    "note": (CHECKPOINT, text(note.split_note)),
    "checkpoint": (CHECKPOINT.partition(b"\n\n")[0] + b"\n", text(note.parse_checkpoint)),
    "verifier key": (KEY.text.encode(), text(WitnessKey.from_text)),
    "proof": (PARTS["proof"], text(proof.Proof.from_text)),
    "log policy": (POLICY, text(log_policy.parse_policy)),
    "witness request": (b"old 0\n\n" + CHECKPOINT, text(witness.Request.from_text)),
    "tile path": (b"tile/entries/x001/234.p/7", text(tiles.parse_path)),
    "entry bundle": (tiles.bundle_of([b"one", b"two"]), lambda data: tiles.parse_bundle(data, tiles.Tile(None, 0, 2))),
    "age header": (SEALED, lambda data: age_header.read_header(io.BytesIO(data))),
    "age file": (SEALED, age),
    "keys of a bundle": (KEYS, bundle.Keys.from_bytes),
    "listing of a bundle": (LISTING, bundle.Listing.peek),
    "redaction record": (REDACTION, lambda data: open_redaction(data, None)),
    "redaction plan": (PLAN, parse_plan),
    "hit": (base64.b64decode(HITS[0]["payload"]), hitfile.unpack),
    "watchlist": (
        LISTS["cases"][0]["list"].encode(),
        lambda data: watchlist.open_list(
            data, records.keyring(PublicKey.from_text(LISTS["signer"])), now_us=LISTS["now_us"], newer_than=None
        ),
    ),
    "watchlist as CSV": (CSV, watchlist_csv.read_csv),
    "position": (POSITION, parse_fix),
    **{
        f"message {name}": (good, lambda data, name=name: wire.decode(name, data))  # type: ignore[misc]
        for name, good in MESSAGES.items()
    },
    "trust file": ((VECTORS / "bundle" / "trust.json").read_bytes(), trust.parse_trust),
}


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """`good` with a few pieces cut, doubled, replaced or exchanged; now and then noise."""
    data = good
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 60)))
        piece = draw(
            st.one_of(
                st.just(b""),
                st.binary(max_size=40),
                st.just(data[start:end] * 2),
                st.sampled_from(
                    [b"\n", b"\n\n", b"{", b"}", b"[" * 40, b'"', b"\\u0000", b"-1", b"1e9", b"9" * 30, b"\xff"]
                ),
            )
        )
        data = data[:start] + piece + data[end:]
    return draw(st.one_of(st.just(data), st.just(data), st.binary(max_size=200)))


@pytest.mark.parametrize("name", PARSERS)
def test_parser_says_its_own_error_or_a_value_when_its_input_is_hostile(name: str) -> None:
    """RE-3, RE-7, RE-11, TL-5, TL-8, TL-13, TL-18, TL-23, TL-26, BU-2, RD-5, RD-26: nothing else comes out."""
    good, parse = PARSERS[name]
    parse(good)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(damaged(good))
    def trial(data: bytes) -> None:
        try:
            parse(data)
        except VedetteError as error:
            assert 0 < len(str(error)) < 2000

    trial()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_GROWTH_KIB


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(damaged(WHOLE))
def test_zip_is_never_read_beyond_what_it_is_when_it_is_hostile(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """BU-14, BU-16."""
    path = tmp_path_factory.getbasetemp() / "hostile.zip"
    path.write_bytes(data)
    try:
        with open_source(path) as source:
            bundle.Listing.peek(source.record)
    except VedetteError as error:
        assert str(error)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(st.characters(max_codepoint=127), max_size=5), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_canonical_json_comes_back_as_the_same_bytes_when_written_and_read(value: object) -> None:
    """RE-1, RE-3."""
    try:
        written = canonical.dumps(value)
    except VedetteError:
        return
    assert canonical.dumps(canonical.loads(written)) == written
    assert json.loads(written) == value
