"""The GPU benchmark's figures as lines and tables, and its predictions as one."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.bench.gpu_cases import Case
from tests.bench.gpu_rates import PEAKS, predicted_seconds, reached
from tests.bench.operations import work_of
from tests.bench.random_model import embedding_width, model_named

Figures = Mapping[str, Any]

PREDICTED = (
    Case("picture", "flux2-klein-4b", "bf16", True, 512),
    Case("picture", "flux2-klein-4b", "bf16", False, 512),
    Case("picture", "flux2-klein-4b", "bf16", True, 1024),
    Case("picture", "flux2-klein-4b", "bf16", False, 1024),
    Case("picture", "flux2-klein-4b", "fp8", True, 1024),
    Case("picture", "flux2-klein-4b", "bf16", True, 1024, 1, 1),
    Case("picture", "flux2-klein-4b", "bf16", True, 1024, 1, 4),
    Case("picture", "flux2-klein-4b", "bf16", True, 2048),
    Case("picture", "flux2-dev", "bf16", True, 1024),
    Case("picture", "flux2-dev", "fp8", True, 1024),
)


def line(name: str, found: Figures) -> str:
    """A case in a line, when it is done."""
    return f"{name}: {_said(found)}  ({found['wall']:.0f} s)"


def _said(found: Figures) -> str:
    if "failed" in found:
        return f"{found['failed']}: {found['why']}"
    if found["kind"] == "picture":
        rows, denoise, whole = found["rows"], found["denoise"], found["whole"]
        text = f"{_spread(denoise, rows)} s a picture, whole {whole['median'] / rows:.4g}, {_rate(found)}"
        return text + (f", diffusers {found['peer']['whole']['median'] / rows:.4g}" if found.get("peer") else "")
    if found["kind"] == "profile":
        return f"gap {_share(found['gap'])}, idle {_share(found['idle'])}, waits {found['waits']} {found['places']}"
    if found["kind"] in ("pixels", "repeat"):
        return ", ".join(f"{way} {'same' if one['same'] else 'differs'}" for way, one in found["ways"].items())
    if found["kind"] == "end":
        rates = {key: found[key] for key in ("denoise", "denoise and decode", "encode, denoise, decode", "end to end")}
        whole, tail = found["end to end"], found["tail"]
        steady = whole / (1 - tail * whole / found["pictures"])
        text = ", ".join(f"{key} {rate:.4g}" for key, rate in rates.items())
        part = steady / found["encode, denoise, decode"]
        return f"rows/s: {text}; without its last {tail:.2g} s {part:.1%} of encoding, denoising and decoding"
    skip = {*Case.__dataclass_fields__, "wall"}
    return ", ".join(f"{key} {_short(value)}" for key, value in found.items() if key not in skip)


def tables(found: Figures) -> str:
    """All that a run has found, in Markdown."""
    rates = found.get("rates") or {}
    versions = ", ".join(f"{package} {version}" for package, version in found["versions"].items())
    measured = ", ".join(f"{key} {_short(value)}" for key, value in rates.items())
    parts = [f"{found['device']}, {found['date']}, {versions}", f"Operations or bytes a second: {measured}"]
    every = list(found["cases"].values())
    good = [one for one in every if "failed" not in one]
    for kind, heading, row in (
        ("picture", _PICTURE, _picture),
        ("profile", _PROFILE, _profile),
        ("pixels", _PIXELS, _pixels),
        ("repeat", _PIXELS, _pixels),
    ):
        if chosen := [one for one in good if one["kind"] == kind]:
            parts.append(_table(heading, (row(one) for one in chosen)))
    parts += [f"{_what(one)}: {_said(one)}" for one in good if one["kind"] in ("end", "memory", "load")]
    parts += [f"{name}: {_said(one)}" for name, one in found["cases"].items() if "failed" in one]
    if found["skipped"]:
        parts.append(f"Skipped for want of time: {', '.join(found['skipped'])}.")
    return "\n\n".join(parts)


_PICTURE = (
    "case",
    "s a picture (least to most)",
    "predicted",
    "decoded too",
    "TFLOP/s",
    "of the matrix rate",
    "first s",
    "weights GiB (expected)",
    "denoising GiB (expected)",
    "diffusers s, decoded",
    "ours is",
)


def _picture(one: Figures) -> list[str]:
    rows, peer = one["rows"], one.get("peer")
    whole = one["whole"]["median"]
    theirs = [f"{part['median'] / rows:.4g}" for part in (peer["denoise"], peer["whole"])] if peer else []
    return [
        _what(one),
        _spread(one["denoise"], rows),
        f"{one['predicted'] / rows:.3g}",
        f"{whole / rows:.4g}",
        f"{one['flops_per_second'] / 1e12:.3g}",
        f"{one['share']:.0%}",
        f"{one['first']:.1f}",
        _gib(one["held_bytes"], one.get("expected_held_bytes")),
        _gib(one.get("denoise_bytes"), one.get("expected_bytes")),
        ", ".join(theirs) or "–",
        f"{peer['whole']['median'] / whole:.2f} × as fast" if peer else "–",
    ]


_PROFILE = ("case", "gap under profile", "idle", "kernels", "host waits", "where", "most of the time")


def _profile(one: Figures) -> list[str]:
    where = ", ".join(f"{place} × {count}" for place, count in one["places"].items())
    top = ", ".join(f"{name[:50]} {share:.0%}" for name, share in list(one["top"].items())[:5])
    return [_what(one), _share(one["gap"]), _share(one["idle"]), str(one["kernels"]), str(one["waits"]), where, top]


_PIXELS = ("case", "how", "same latents", "furthest", "levels apart", "pixels apart", "rows one by one", "padding one")


def _pixels(one: Figures) -> list[str]:
    ways = one["ways"].items()
    return [
        _what(one) + ("" if one["finite"] else " (not finite!)"),
        "<br>".join(way for way, _ in ways),
        "<br>".join("yes" if way["same"] else "no" for _, way in ways),
        "<br>".join(f"{way['latents']:.2g}" for _, way in ways),
        "<br>".join(str(way["levels"]) for _, way in ways),
        "<br>".join(f"{way['pixels']:.1%}" for _, way in ways),
        f"{one['one_by_one_costs']:+.0%}",
        f"{one['padding_one_costs']:+.0%}",
    ]


def predictions(devices: Iterable[str]) -> str:
    """Seconds that denoising one picture should take, from published peaks; "–" where weights leave no room."""
    rows = []
    for case in PREDICTED:
        model = model_named(case.model)
        work = work_of(model, embedding_width(model), case.shape(model), case.rows)
        cells = [f"{work.operations / 1e12:.0f}"]
        for device in devices:
            peak, held = PEAKS[device], model.transformer_bytes * (1.0 if case.precision == "bf16" else 0.52)
            fits = held < 0.9 * peak.memory
            seconds = predicted_seconds(work, reached(peak), case.precision, case.compiled)
            cells.append(f"{seconds:.2g}" if fits else "–")
        rows.append([_what(vars(case)), *cells])
    return _table(("predicted seconds a picture", "TFLOP", *devices), rows)


def _what(one: Figures) -> str:
    more = f", {one['rows']} rows" if one["rows"] > 1 else ""
    if count := one["references"]:
        more += f", {count} reference{'s' if count > 1 else ''}"
    mode = "compiled" if one["compiled"] else "eager"
    return f"{one['model'].removeprefix('flux2-')} {one['precision']} {mode} {one['side']}²{more}"


def _spread(times: Figures, rows: int) -> str:
    median, least, most = (times[key] / rows for key in ("median", "least", "most"))
    return f"{median:.4g} ({least:.4g} to {most:.4g})"


def _rate(one: Figures) -> str:
    return f"{one['flops_per_second'] / 1e12:.3g} TFLOP/s, {one['share']:.0%} of the matrix rate"


def _gib(held: int | None, expected: int | None) -> str:
    text = "–" if held is None else f"{held / 2**30:.2f}"
    return text + (f" ({expected / 2**30:.2f})" if expected else "")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heading = list(heading)
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
