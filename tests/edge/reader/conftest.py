"""A device folder with keys, trust and a sealed watchlist; pictures, looks and models with invented values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.camera.port import SmallFrame
from edge.reader.detect import Detection
from edge.reader.look import Look
from edge.reader.ocr import PlateText
from vedette import spool, watchlist
from vedette.clock import FakeClock
from vedette.config import BoardSection, DeviceConfig, DeviceSection, ReaderSection
from vedette.custody_entry import Entry
from vedette.custody_tail import journal_files
from vedette.custody_verify import verify_chain
from vedette.hitfile import Hit, unpack
from vedette.keys import SigningKey
from vedette.plates import to_ascii
from vedette.records import keyring, open_manifest
from vedette.sealed import HybridIdentity, open_sealed, save_identity, seal
from vedette.trust import Trust
from vedette.waiting_journal import WaitingJournal
from vedette.watchlist import WatchEntry, make_list

WIDTH, HEIGHT = 320, 240
DAY_US = 86_400_000_000
PLATE = "12345|أ|6"
KEYS = {name: HybridIdentity.generate() for name in ("evidence", "oversight", "triage", "list")}
CENTRE, LIST_SIGNER = SigningKey.generate(), SigningKey.generate()


def make_frame(index: int, *, grey: int = 90, utc_us: int = 0, mono_us: int = 0) -> SmallFrame:
    """A picture whose first pixel says what the stub sees in it."""
    picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    picture[:HEIGHT] = np.linspace(30, 220, WIDTH, dtype=np.uint8)
    picture[0, 0] = grey
    return SmallFrame(i420=picture, index=index, utc_us=utc_us, mono_us=mono_us, media_us=index * 40_000)


def make_look(text: str | None, *, x: int = 100, y: int = 100, confidence: int = 900, region: str = "MA") -> Look:
    """A look at a plate 80 px wide at (x, y)."""
    corners = ((x + 0.0, y + 0.0), (x + 80.04, y + 0.0), (x + 80.04, y + 20.0), (x + 0.0, y + 20.0))
    plate = text and PlateText(
        text=text, text_ascii=to_ascii(text), region=region, confidence_permille=confidence, alternatives=()
    )
    return Look(detection=Detection(corners_px=corners, confidence_permille=900), plate=plate or None)


@dataclass
class StubEyes:
    """Sees in a picture what was put down for its first pixel."""

    sees: dict[int, list[Look]] = field(default_factory=dict)
    model_hashes: dict[str, str] = field(default_factory=lambda: {"reader": "a" * 64})

    def detect(self, luma: NDArray[np.uint8]) -> list[Detection]:
        return [look.detection for look in self.sees.get(int(luma[0, 0]), [])]

    def read(self, luma: NDArray[np.uint8], detection: Detection) -> PlateText | None:
        return next(look.plate for look in self.sees[int(luma[0, 0])] if look.detection == detection)


@dataclass
class Device:
    """A device's folders and clock."""

    config: DeviceConfig
    clock: FakeClock
    key: SigningKey

    def entry(self, plate: str = PLATE, *, region: str = "MA", priority: str = "high") -> WatchEntry:
        now_us = self.clock.utc_us()
        return WatchEntry(
            plate=plate,
            region=region,
            reason="stolen",
            priority=priority,
            source="test",
            valid_from_us=now_us - DAY_US,
            valid_to_us=now_us + 30 * DAY_US,
        )

    def signed_list(self, *entries: WatchEntry, version: int = 1, valid_us: int = DAY_US) -> bytes:
        now_us = self.clock.utc_us()
        return make_list(
            entries, version=version, issued_us=now_us, expires_us=now_us + valid_us, source="centre", key=LIST_SIGNER
        )

    def store_list(self, *entries: WatchEntry, version: int = 1, valid_us: int = DAY_US) -> None:
        sealed = seal(self.signed_list(*entries, version=version, valid_us=valid_us), [KEYS["list"].recipient])
        keys = keyring(LIST_SIGNER.public)
        watchlist.store(self.config.data, sealed, [KEYS["list"]], keys, now_us=self.clock.utc_us())

    def open_journal(self, service: str = "reader") -> WaitingJournal:
        folder = self.config.journals / service
        return WaitingJournal(folder, service=service, device=self.config.device.id, key=self.key, clock=self.clock)

    def events(self, service: str = "reader") -> list[Entry]:
        """The verified chain of a service."""
        paths = journal_files(self.config.journals / service)
        return verify_chain(
            (line for path in paths for line in path.read_bytes().splitlines()), self.key.public, start=None
        )

    def event_names(self) -> list[str]:
        return [entry.event for entry in self.events()]

    def items(self, kind: str = "hit") -> list[spool.Item]:
        items, bad = spool.scan(self.config.spool)
        assert bad == []
        return [item for item in items if item.kind == kind]

    def hits(self, key: str = "triage") -> list[tuple[Hit, dict[str, bytes]]]:
        """The hits in the spool, opened by one of their recipients, their manifests verified."""
        for item in self.items():
            assert open_manifest(item.manifest_bytes, keyring(self.key.public)) == item.manifest
        return [unpack(open_sealed(item.path.read_bytes(), [KEYS[key]])) for item in self.items()]

    def disk(self) -> bytes:
        """Every byte on the device's disk, names included."""
        paths = sorted(path for path in self.config.data.rglob("*") if path.is_file())
        return b"".join(str(path).encode() + path.read_bytes() for path in paths)

    def with_reader(self, **keys: int | bool) -> "Device":
        reader = replace(self.config.reader, **keys)  # type: ignore[arg-type]
        return replace(self, config=replace(self.config, reader=reader))


@pytest.fixture
def device(tmp_path: Path, run_dir: Path) -> Device:
    data = tmp_path / "device"
    (data / "keys").mkdir(parents=True)
    key = SigningKey.generate()
    key.save(data / "keys" / "sign.pem")
    save_identity(data / "keys" / "list.identity", KEYS["list"])
    trust = Trust(
        centre=CENTRE.public,
        list_signer=LIST_SIGNER.public,
        log_origin="test/log",
        evidence=(KEYS["evidence"].recipient.text,),
        oversight=(KEYS["oversight"].recipient.text,),
        triage=KEYS["triage"].recipient.text,
    )
    (data / "trust.json").write_bytes(trust.to_bytes())
    config = DeviceConfig(
        device=DeviceSection(id="car-1", data=data, run=run_dir),
        reader=ReaderSection(),
        board=BoardSection(),
    )
    spool.make_folders(config.spool)
    return Device(config=config, clock=FakeClock(), key=key)


@pytest.fixture
def eyes() -> StubEyes:
    """Grey 1 to 9 show the plate of the list, 11 another plate, 12 an unreadable one, 13 both, 14 an unsure look."""
    other = "777|ب|40"
    sees: dict[int, list[Look]] = {grey: [make_look(PLATE, x=100 + grey)] for grey in range(1, 10)}
    sees |= {11: [make_look(other)], 12: [make_look(None)], 14: [make_look(PLATE, confidence=100)]}
    sees |= {13: [make_look(PLATE, x=20), make_look(other, x=220)]}
    return StubEyes(sees=sees)


@pytest.fixture
def frame_at() -> Callable[..., SmallFrame]:
    return make_frame


@pytest.fixture
def look_at() -> Callable[..., Look]:
    return make_look


class TinyModel:
    """A TFLite file of a few operations in a row, written step by step; every weight is 1, every scale 1/64."""

    def __init__(self, type: str) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._types = {"int8": (schema.TensorType.INT8, "i1"), "float32": (schema.TensorType.FLOAT32, "f4")}
        self._types["int32"] = (schema.TensorType.INT32, "i4")
        self._type, self._bias_type = type, "float32" if type == "float32" else "int32"
        self._model, self._graph = schema.ModelT(), schema.SubGraphT()
        self._model.version, self._model.buffers, self._model.operatorCodes = 3, [schema.BufferT()], []
        self._model.subgraphs = [self._graph]
        self._graph.tensors, self._graph.operators = [], []

    def tensor(self, shape: Sequence[int], type: str, fill: Sequence[int] | None = None) -> int:
        """A tensor, with values where `fill` is given; its number."""
        number, numpy_type = self._types[type]
        made = self._schema.TensorT()
        made.shape, made.type, made.name = list(shape), number, f"t{len(self._graph.tensors)}"
        if fill is not None:
            buffer = self._schema.BufferT()
            buffer.data = list(np.broadcast_to(np.array(fill, numpy_type), shape).tobytes())
            self._model.buffers.append(buffer)
            made.buffer = len(self._model.buffers) - 1
        if type != "float32":
            made.quantization = self._schema.QuantizationParametersT()
            # A sum's scale is that of the products it adds up.
            made.quantization.scale, made.quantization.zeroPoint = [1 / 64 / 64 if type == "int32" else 1 / 64], [0]
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def then(self, name: str, last: int, makes: Sequence[int], weights: Sequence[int] = ()) -> int:
        """An operation on tensor `last`; the number of the tensor it makes."""
        inputs = [last]
        if name == "ADD":
            inputs.append(last)
        if name == "RESIZE_NEAREST_NEIGHBOR":
            inputs.append(self.tensor((2,), "int32", makes[1:3]))
        if weights:
            outputs = weights[-1] if name == "DEPTHWISE_CONV_2D" else weights[0]
            inputs += [self.tensor(weights, self._type, [1]), self.tensor((outputs,), self._bias_type, [0])]
        code, made = self._schema.OperatorCodeT(), self._schema.OperatorT()
        code.builtinCode = getattr(self._schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 3
        self._model.operatorCodes.append(code)
        made.opcodeIndex = len(self._model.operatorCodes) - 1
        made.builtinOptionsType, made.builtinOptions = self._options(name)
        made.inputs, made.outputs = inputs, [self.tensor(makes, self._type)]
        self._graph.operators.append(made)
        return int(made.outputs[0])

    def _options(self, name: str) -> tuple[int, object]:
        kind = {"CONV_2D": "Conv2D", "DEPTHWISE_CONV_2D": "DepthwiseConv2D", "ADD": "Add"}.get(name)
        kind = f"{kind or 'ResizeNearestNeighbor'}Options"
        made = getattr(self._schema, f"{kind}T")()
        for name in ("strideW", "strideH", "dilationWFactor", "dilationHFactor", "depthMultiplier"):
            if hasattr(made, name):
                setattr(made, name, 1)
        return getattr(self._schema.BuiltinOptions, kind), made

    def to_bytes(self, first: int, last: int) -> bytes:
        import flatbuffers

        self._graph.inputs, self._graph.outputs = [first], [last]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self._model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


@pytest.fixture
def tiny() -> Callable[..., bytes]:
    """`tiny((name, makes, weights), …, takes=shape, type="int8")`: a TFLite file of a few operations in a row."""

    def make(*steps: Sequence[Any], takes: Sequence[int], type: str = "int8") -> bytes:
        model = TinyModel(type)
        last = first = model.tensor(takes, type)
        for step in steps:
            last = model.then(step[0], last, *step[1:])
        return model.to_bytes(first, last)

    return make
