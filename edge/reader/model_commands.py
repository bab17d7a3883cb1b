"""`vedette model list|verify|arithmetic|bench|sign`: which models there are, whether they are sound, what they cost.

Decided here: what is shown and how.  All but `sign` refuse a registry that is not signed by the key that counts.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.reader.arithmetic import BOARDS, Cost, cost, listed
from edge.reader.registry import (
    KEY_VARIABLE,
    SIGNATURE,
    Measured,
    ModelFile,
    open_registry,
    package_folder,
    record_measured,
    sign_registry,
    trusted_key,
)
from edge.reader.tflite_file import read_network
from vedette import cli
from vedette.clock import SystemClock, iso
from vedette.keys import SigningKey

if TYPE_CHECKING:
    from edge.reader.model_bench import Bench, Case, Spread

MIB = 1024 * 1024
ESTIMATED = "ESTIMATE: no board was measured; from published figures, see docs/reference/model-speed.md"
EXPLAINED = """\
milliseconds, median / 95th percentile
picture   one look of the detector, then every plate read thoroughly: the most that a picture of a video takes
glances   one look of the detector, then one glance at every plate: the least
look      what `vedette read` does: thoroughly, and from closer where nothing was read surely or above 1920 px
frames/s  the pace that 19 of 20 pictures keep; the third plate is smeared and takes the reader several runs"""


def register(nouns: cli.Nouns) -> None:
    """Add the noun `model`."""
    verbs = cli.noun(nouns, "model", help="the two models: list, verify, count, time, sign")
    for verb, run, what in (
        ("list", show_list, "which models there are"),
        ("verify", verify, "check signature, hashes, integers throughout and XNNPACK"),
        ("arithmetic", show_arithmetic, "what one run of each model costs, and ESTIMATES for boards"),
        ("bench", show_bench, "time every stage of reading on this machine"),
        ("sign", sign, "sign the registry after a model was made anew"),
    ):
        parser = verbs.add_parser(verb, help=what, description=what)
        parser.add_argument(
            "--models", type=Path, default=None, metavar="FOLDER", help="another pair of models with its registry"
        )
        cli.add_json(parser)
        parser.set_defaults(run=run)
        if verb == "bench":
            _add_bench_options(parser)
        if verb == "sign":
            parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="the private signing key")


def _add_bench_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="for the models (default %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=20.0, metavar="S", help="for how long, about (default %(default)g)"
    )
    parser.add_argument(
        "--record", action="store_true", help="write the figures into the registry, which has to be signed again then"
    )


def show_list(args: argparse.Namespace) -> int:
    """Print every model of the registry; errors as in `find_model`."""
    registry = open_registry(args.models)
    rows, found = [], []
    for name in registry.entries:
        file = registry.model(name)
        counted = cost(read_network(file.path))
        found.append({**_identity(file), "parameters": counted.parameters})
        height, width = file.input_px
        cells = (f"{file.size_bytes:,}", f"{width}x{height}", f"{counted.parameters:,}", file.card, file.sha256)
        rows.append((name, file.version, file.path.name, *cells))
    heads = ("name", "version", "file", "bytes", "input", "parameters", "card", "sha256")
    told = [f"{one.date}, {one.machine}, {one.runtime}: {one.figures}" for one in registry.measured]
    text = "\n".join([cli.table(rows, heads=heads), "", *told, f"signed by {registry.signed_by}"])
    values = {
        "folder": str(registry.folder),
        "signed_by": registry.signed_by,
        "models": found,
        "measured": [dataclasses.asdict(one) for one in registry.measured],
    }
    cli.show(args, values, text)
    return 0


def verify(args: argparse.Namespace) -> int:
    """Check the models; errors as in `verify_models`."""
    from edge.reader.infer import runtime_name
    from edge.reader.model_verify import verify_models

    done = verify_models(args.models)
    lines = [f"{one.name} {one.version}: {one.path.name} is the file that was released" for one in done.models]
    if done.registry.calibration_sha256 is not None:
        lines.append("calibration.toml, what the confidence is worth, is the file that was released")
    lines.append("both compute in 8-bit integers throughout, and XNNPACK runs each in one piece")
    lines.append(f"signed by {done.registry.signed_by}; tried with {runtime_name()}")
    found = {
        "folder": str(done.registry.folder),
        "signed_by": done.registry.signed_by,
        "runtime": runtime_name(),
        "calibration_sha256": done.registry.calibration_sha256,
        "models": [_identity(one) for one in done.models],
    }
    cli.show(args, found, "\n".join(lines))
    return 0


def _identity(file: ModelFile) -> dict[str, Any]:
    return {
        "name": file.name,
        "version": file.version,
        "file": file.path.name,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
        "input_px": list(file.input_px),
        "card": file.card,
    }


def show_arithmetic(args: argparse.Namespace) -> int:
    """Print what one run of each model costs."""
    registry = open_registry(args.models)
    files = [registry.model(name) for name in registry.entries]
    costs = {file.name: cost(read_network(file.path)) for file in files}
    text = "\n\n".join(f"{file.name} {file.version}\n{_cost_text(costs[file.name])}" for file in files)
    cli.show(args, {name: _cost_values(one) for name, one in costs.items()}, f"{text}\n\n{ESTIMATED}")
    return 0


def _cost_values(one: Cost) -> dict[str, Any]:
    estimates = {board.name: [round(ms, 1) for ms in board.estimate_ms(one.macs)] for board in BOARDS}
    return {
        **dataclasses.asdict(one),
        "macs_per_byte": round(one.intensity, 1),
        "estimate_ms_one_core": estimates,
        "estimate_note": ESTIMATED,
    }


def _cost_text(one: Cost) -> str:
    estimates = [
        f"{board.name} {low:.0f} to {high:.0f} ms" for board in BOARDS for low, high in [board.estimate_ms(one.macs)]
    ]
    rows = (
        ("  multiply-accumulates", f"{one.macs / 1e6:,.1f} million"),
        ("  parameters", f"{one.parameters:,} in {one.parameter_bytes / MIB:.2f} MiB"),
        ("  activations", f"{one.activation_bytes / MIB:.2f} MiB read and written"),
        ("  intensity", f"{one.intensity:.1f} multiply-accumulates for each byte moved"),
        ("  operations", listed(one.operations)),
        ("  in floating point", listed(one.in_float)),
        ("  not in XNNPACK", listed(one.not_xnnpack)),
        ("  ESTIMATE, one core", "; ".join(estimates)),
    )
    return "\n".join(f"{name:<24}{value}" for name, value in rows)


def show_bench(args: argparse.Namespace) -> int:
    """Measure and print; Usage for bad options."""
    from edge.reader.model_bench import bench

    done = bench(threads=args.threads, seconds=args.seconds, folder=args.models)
    found = dataclasses.asdict(done)
    for values, case in zip(found["cases"], done.cases, strict=True):
        values["frames_per_second"] = round(case.frames_per_second, 2)
    cli.show(args, found, f"{_bench_head(done)}\n\n{_bench_table(done.cases)}\n\n{EXPLAINED}")
    if args.record:
        record_measured(args.models or package_folder(), _measured(done))
    return 0


def _measured(done: Bench) -> Measured:
    case = next(case for case in done.cases if case.width_px == 1280 and case.plates == 1)
    parts = {name: case.stages[name].median_ms for name in ("detector", "reader", "picture")}
    told = ", ".join(f"{name} {ms:.1f} ms" for name, ms in parts.items())
    return Measured(
        machine=f"{done.machine.name}, {done.threads} thread(s)",
        runtime=done.machine.runtime,
        date=iso(SystemClock().utc_us())[:10],
        figures=f"1280x720 with one plate, medians: {told}; {case.frames_per_second:.0f} frames/s; "
        f"{done.memory.peak_mib:.0f} MiB at most, {done.memory.own_mib:.0f} of them its own",
    )


def _bench_head(done: Bench) -> str:
    machine, memory = done.machine, done.memory
    versions = ", ".join(f"{name} {version}" for name, version in done.versions.items())
    loads = ", ".join(f"{name} {ms:.0f} ms" for name, ms in done.load_ms.items())
    return "\n".join(
        (
            f"machine   {machine.name}, {machine.cores} cores, load {machine.load_before:.1f} before",
            f"runtime   {machine.runtime}, Python {machine.python}, {done.threads} thread(s)",
            f"models    {versions}; loaded in: {loads}",
            f"memory    {memory.without_models_mib:.0f} MiB without models, {memory.models_mib:.0f} more with both; "
            f"{memory.peak_mib:.0f} MiB at most; at the end {memory.own_mib:.0f} MiB of its own, "
            f"{memory.files_mib:.0f} of libraries and models, which the system shares and takes back",
        )
    )


def _bench_table(cases: Sequence[Case]) -> str:
    stages = list(cases[0].stages)
    heads = ["size", "plates", "found", "runs", *stages, "frames/s"]
    rows = [
        [
            f"{case.width_px}x{case.height_px}",
            *(str(number) for number in (case.plates, case.found, case.reader_runs)),
            *(_spread(case.stages[name]) for name in stages),
            f"{case.frames_per_second:.1f}",
        ]
        for case in cases
    ]
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in [heads, *rows]
    )


def _spread(one: Spread) -> str:
    return f"{one.median_ms:.1f} / {one.p95_ms:.1f}" if one.p95_ms else "-"


def sign(args: argparse.Namespace) -> int:
    """Sign the registry with a private key; refuses where a file is not the one that the registry names."""
    key = SigningKey.load(args.key)
    registry = sign_registry(args.models or package_folder(), key)
    path = registry.folder / SIGNATURE
    text = f"{path}: signed by {registry.signed_by}"
    if key.public != trusted_key():
        text += f"\nthis machine trusts another key; where these models are used, set {KEY_VARIABLE}={key.public.text}"
    cli.show(args, {"file": str(path), "signed_by": registry.signed_by, "public": key.public.text}, text)
    return 0
