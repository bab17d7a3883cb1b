"""Reading a TFLite file without a runtime, and what its operations cost."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.reader import tflite_file
from edge.reader.arithmetic import BOARDS, Board, Cost, cost, listed
from edge.reader.infer import Model
from edge.reader.registry import NAMES, ModelName, find_model
from edge.reader.tflite_file import Network, Operation, Tensor, read_network
from vedette.errors import Integrity, NotFound

Tiny = Callable[..., bytes]
DENSE = ("CONV_2D", (1, 8, 8, 4), (4, 3, 3, 2))
DEPTHWISE = ("DEPTHWISE_CONV_2D", (1, 8, 8, 2), (1, 5, 5, 2))
LARGER = ("RESIZE_NEAREST_NEIGHBOR", (1, 16, 16, 2))
TWICE = ("ADD", (1, 8, 8, 2))
TAKES = (1, 8, 8, 2)


@pytest.fixture
def counted(tiny: Tiny, tmp_path: Path) -> Callable[..., Cost]:
    def count(*steps: object, type: str = "int8") -> Cost:
        path = tmp_path / "tiny.tflite"
        path.write_bytes(tiny(*steps, takes=TAKES, type=type))
        return cost(read_network(path))

    return count


def test_multiplications_are_outputs_times_kernel_and_input_channels_when_dense(counted: Callable[..., Cost]) -> None:
    found = counted(DENSE)
    assert found.macs == (8 * 8 * 4) * (3 * 3 * 2)
    assert (found.parameters, found.parameter_bytes) == (4 * 3 * 3 * 2 + 4, 4 * 3 * 3 * 2 + 4 * 4)
    assert found.activation_bytes == 8 * 8 * 2 + 8 * 8 * 4


def test_multiplications_are_outputs_times_kernel_when_depthwise(counted: Callable[..., Cost]) -> None:
    found = counted(DEPTHWISE, TWICE)
    assert found.macs == (8 * 8 * 2) * (5 * 5)
    assert found.parameters == 5 * 5 * 2 + 2
    assert found.activation_bytes == 5 * 8 * 8 * 2  # ADD reads its one tensor twice
    assert found.intensity == pytest.approx(found.macs / (5 * 128 + 50 + 8))


def test_multiplications_are_inputs_times_kernel_and_outputs_when_transposed() -> None:
    def tensor(*shape: int, type: str = "int8", constant: bool = False) -> Tensor:
        return Tensor(shape=shape, type=type, constant=constant)

    inputs = (tensor(4, type="int32", constant=True), tensor(5, 2, 2, 3, constant=True), tensor(1, 4, 4, 3))
    operation = Operation(name="TRANSPOSE_CONV", inputs=inputs, outputs=(tensor(1, 8, 8, 5),))
    found = cost(Network(inputs=(inputs[2],), outputs=operation.outputs, operations=(operation,)))
    assert found.macs == (4 * 4 * 3) * (2 * 2 * 5)


def test_dense_layer_has_a_multiplication_for_each_weight() -> None:
    inputs = (Tensor(shape=(1, 6), type="int8", constant=False), Tensor(shape=(10, 6), type="int8", constant=True))
    outputs = (Tensor(shape=(1, 10), type="int8", constant=False),)
    operation = Operation(name="FULLY_CONNECTED", inputs=inputs, outputs=outputs)
    assert cost(Network(inputs=inputs[:1], outputs=outputs, operations=(operation,))).macs == 60


def test_operations_that_xnnpack_has_no_integers_for_are_counted(counted: Callable[..., Cost]) -> None:
    found = counted(DEPTHWISE, LARGER)
    assert found.operations == {"DEPTHWISE_CONV_2D": 1, "RESIZE_NEAREST_NEIGHBOR": 1}
    assert found.not_xnnpack == {"RESIZE_NEAREST_NEIGHBOR": 1}
    assert found.in_float == {}


def test_operations_in_floating_point_are_counted_and_weigh_four_times(counted: Callable[..., Cost]) -> None:
    found, integers = counted(DENSE, type="float32"), counted(DENSE)
    assert found.in_float == {"CONV_2D": 1}
    assert found.activation_bytes == 4 * integers.activation_bytes
    assert found.macs == integers.macs


@pytest.mark.parametrize("name", NAMES)
def test_shipped_model_is_read_as_its_runtime_reads_it(name: ModelName) -> None:
    file = find_model(name)
    network = read_network(file.path)
    model = Model.load(file.path, threads=1)
    assert [one.shape for one in network.inputs] == [(1, model.height_px, model.width_px, 1)]
    own = [one for one in model._interpreter._get_ops_details() if one["op_name"] != "DELEGATE"]
    assert [one.name for one in network.operations] == [one["op_name"] for one in own]
    shapes = {detail["index"]: tuple(detail["shape"].tolist()) for detail in model._interpreter.get_tensor_details()}
    assert [[tensor.shape for tensor in one.outputs] for one in network.operations] == [
        [shapes[int(index)] for index in one["outputs"]] for one in own
    ]


@pytest.mark.parametrize("name", NAMES)
def test_shipped_model_has_the_parameters_and_multiplications_of_a_small_network(name: ModelName) -> None:
    found = cost(read_network(find_model(name).path))
    assert 100_000 < found.parameters <= 2_000_000
    assert found.parameters <= found.parameter_bytes < 1.1 * found.parameters
    assert 100e6 < found.macs < 1000e6


def test_names_and_types_are_those_of_the_schema() -> None:
    from ai_edge_litert import schema_py_generated as schema

    for known, names in ((tflite_file.OPERATORS, schema.BuiltinOperator), (tflite_file.TYPES, schema.TensorType)):
        assert {getattr(names, name.upper()): name for name in known.values()} == known


def test_operator_that_is_not_known_is_named_by_its_number(tiny: Tiny, tmp_path: Path) -> None:
    path = tmp_path / "odd.tflite"
    path.write_bytes(tiny(LARGER, takes=TAKES))
    assert tflite_file.OPERATORS.get(32) is None
    before = struct.pack("<i", 97)
    path.write_bytes(path.read_bytes().replace(before, struct.pack("<i", 209)))
    assert read_network(path).operations[0].name == "OPERATOR_209"


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\0" * 4096])
def test_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    with pytest.raises(Integrity, match=r"bad\.tflite is not a TFLite file"):
        read_network(path)


def test_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="gone"):
        read_network(tmp_path / "gone.tflite")


def test_model_that_is_cut_or_changed_anywhere_is_read_or_refused_and_never_crashes(tiny: Tiny, tmp_path: Path) -> None:
    whole = tiny(DENSE, takes=TAKES)
    path = tmp_path / "bad.tflite"
    refused = 0
    for at in range(8, len(whole)):
        for content in (whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]):
            path.write_bytes(content)
            try:
                cost(read_network(path))
            except Integrity:
                refused += 1
    assert refused > len(whole) // 2


def test_estimate_is_a_range_that_grows_with_the_work() -> None:
    board = Board(name="a board", slow_gmacs=5.0, fast_gmacs=10.0)
    assert board.estimate_ms(1_000_000_000) == pytest.approx((100.0, 200.0))
    assert [one.name for one in BOARDS] == ["Raspberry Pi 4", "Raspberry Pi 5", "Jetson Orin Nano"]
    assert all(one.slow_gmacs < one.fast_gmacs for one in BOARDS)


def test_counts_are_listed_with_the_most_frequent_first() -> None:
    assert listed({"ADD": 2, "PAD": 6, "ABS": 2}) == "6 PAD, 2 ABS, 2 ADD"
    assert listed({}) == "none"


def test_every_figure_of_the_boards_is_in_the_reference() -> None:
    text = (Path(__file__).parents[3] / "docs" / "reference" / "model-speed.md").read_text(encoding="utf-8")
    for board in BOARDS:
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {board.name}")]
        assert f"| {board.slow_gmacs:g} to {board.fast_gmacs:g} |" in row
