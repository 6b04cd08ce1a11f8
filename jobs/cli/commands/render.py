"""`pressrun render`: a manifest becomes pictures, or `--dry-run` says what would be done."""

import argparse
import sys
from dataclasses import asdict
from typing import Any

from pressrun.cluster.placement.layout import NAMES as LAYOUTS
from pressrun.cluster.placement.layout import ActorMemory
from pressrun.cluster.runtime.ray_runtime import joined
from pressrun.cluster.runtime.supervisor import guarded
from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import busy_words, cause_words, change_words, say
from pressrun.jobs.cli.flags import FlaggedProgress
from pressrun.jobs.delivery.hook import tell
from pressrun.jobs.folder.job_file import SHEET
from pressrun.jobs.planning.placement_forecast import PlacementForecast
from pressrun.jobs.results.summary import Summary
from pressrun.jobs.run.driver import render
from pressrun.jobs.run.forecast import Forecast, forecast
from pressrun.jobs.spec.job_spec import JobSpec
from pressrun.jobs.spec.progress import Terse, duration, progress_for
from pressrun.jobs.tables.row_errors import described
from pressrun.jobs.text.wording import several
from pressrun.pipeline.finishing.codec import FORMATS
from pressrun.pipeline.models.precision import PRECISIONS


def add(commands: Any) -> None:
    """The options of `pressrun render`."""
    command = add_command(commands, "render", "render a manifest, or go on with it", _render, resumable=True)
    command.add_argument(
        "manifest", metavar="MANIFEST", help="a Parquet, JSONL, CSV or .xlsx file or a folder of parts, or s3://…"
    )
    command.add_argument("--out", required=True, metavar="URI", help="the job's folder: a path or s3://bucket/prefix")
    command.add_argument(
        "--model", default="mini", metavar="NAME|DIR", help="see `pressrun models` (default: %(default)s)"
    )
    command.add_argument(
        "--accept-license", action="store_true", help="accept the licence of a model that is not for commercial use"
    )
    command.add_argument("--layout", default="auto", choices=LAYOUTS, help="how many actors hold what (default: auto)")
    command.add_argument(
        "--replicas", type=int, metavar="N", help="denoise replicas (default: as many as the devices carry)"
    )
    command.add_argument(
        "--shards", type=int, metavar="K", help="actors that share one transformer (default: as few as fit)"
    )
    command.add_argument(
        "--compile", action="store_true", help="compile the transformer's blocks, on GPUs (docs/gpus.md)"
    )
    command.add_argument("--precision", choices=PRECISIONS, help="of weights and arithmetic (default: the model's own)")
    command.add_argument("--format", default="png", choices=FORMATS, help="of the pictures (default: %(default)s)")
    command.add_argument(
        "--name", default="{custom_id}", metavar="TEMPLATE", help="name over columns (default: %(default)s)"
    )
    command.add_argument(
        "--finish", metavar="SPEC.toml", help="renditions and how pictures are finished (docs/finishing.md)"
    )
    command.add_argument(
        "--since", metavar="URI|latest", help="an earlier job whose pictures are kept where nothing changed"
    )
    command.add_argument(
        "--sign", action="store_true", help="sign every picture (C2PA); certificate and key from PRESSRUN_SIGN_…"
    )
    command.add_argument(
        "--keep-pixels",
        nargs="?",
        const="",
        metavar="URI",
        help="keep pixels for another finish, and use those that are there (default: OUT/pixels)",
    )
    command.add_argument("--wait", action="store_true", help="wait for another night that is being rendered beside it")
    command.add_argument("--max-images", type=int, metavar="N", help="stop after rendering N pictures")
    command.add_argument("--max-minutes", type=float, metavar="M", help="stop after M minutes")
    command.add_argument("--on-finish", metavar="COMMAND", help="run this when it has ended, the summary on its input")
    command.add_argument("--limit", type=int, metavar="N", help="stop after the manifest's first N rows")
    command.add_argument("--max-failures", metavar="N|P%%", help="stop when more rows than this have failed")
    command.add_argument(
        "--allow-host",
        dest="allow_hosts",
        action="append",
        default=[],
        metavar="HOST",
        help="a private web server that references may come from",
    )
    command.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def _render(options: argparse.Namespace) -> int:
    names = ("manifest", "out", "model", "precision", "format", "name", "layout", "replicas", "shards", "limit")
    more = {
        name: getattr(options, name)
        for name in (
            *("compile", "finish", "sign", "keep_pixels", "max_failures", "accept_license"),
            *("since", "wait", "max_images", "max_minutes"),
        )
    }
    spec = JobSpec(**{name: getattr(options, name) for name in names}, **more, allow_hosts=tuple(options.allow_hosts))
    if options.dry_run:
        plan = options.flags.named_in(forecast(spec, context=options.context), "notes")
        say(asdict(plan) if options.json else _forecast_words(plan), options.json)
        return 0 if not plan.bad else 1 if plan.done or plan.pending else 2
    if cluster := joined():
        return guarded(lambda: _rendered(spec, options), cluster)
    return _rendered(spec, options)


def _rendered(spec: JobSpec, options: argparse.Namespace) -> int:
    events = FlaggedProgress(Terse(sys.stderr) if options.json else progress_for(sys.stderr), options.flags)
    told = render(spec, events, context=options.context)
    summary: Summary = options.flags.named_in(told, "unmade", "stopped")
    try:
        for sentence in summary.unmade:
            print(f"pressrun: {sentence}", file=sys.stderr)
        if options.json:
            say(asdict(summary), True)
        else:
            print("\n".join(_summary_words(summary)), flush=True)
    finally:  # whoever read what is printed may be gone
        if options.on_finish and (problem := tell(options.on_finish, summary)):
            print(f"pressrun: --on-finish {problem}", file=sys.stderr)
    return summary.exit_code


def _summary_words(summary: Summary) -> list[str]:
    counts = [f"{summary.succeeded} succeeded"]
    counts += [
        f"{getattr(summary, name)} {name}"
        for name in ("cached", "failed", "rejected", "pending")
        if getattr(summary, name)
    ]
    lines = [f"{summary.rows} rows: {', '.join(counts)}."]
    if summary.rendered:
        stored = "" if summary.stored == summary.rendered else f", stored {summary.stored} of them,"
        lines.append(
            f"Rendered {several(summary.rendered, 'picture')}{stored} in {duration(summary.seconds)}"
            f" ({summary.images_per_second:.2f} images/s)."
        )
        lines += busy_words(summary.busy)
    elif not summary.stopped:
        lines.append("Nothing was left to render.")
    lines += change_words(summary.changes)
    lines += cause_words(summary.causes)
    if summary.flagged:
        lines.append(f"Flagged: {several(summary.flagged, 'picture')}; the contact sheet says why.")
    if summary.failed:
        lines.append(f"The failed rows as a manifest: pressrun failures {summary.out} --out again.parquet")
    if summary.stopped:
        lines.append(f"Stopped: {summary.stopped} The same command goes on.")
    elif not any(sentence.startswith(SHEET) for sentence in summary.unmade):
        lines.append(f"Contact sheet: {summary.out}/{SHEET}")
    return lines


def _forecast_words(plan: Forecast) -> str:
    done = f"{plan.done} done already ({plan.cached} cached), {plan.bad} bad"
    lines = [f"{plan.rows} rows: {done}, {plan.pending} to render in {several(plan.units, 'unit')}."]
    lines += [f"  {rows:>8} x {shape}" for shape, rows in plan.shapes.items()]
    lines += change_words(plan.changes)
    if plan.fetch:
        lines.append(f"The model would be fetched first: about {plan.fetch_bytes / 1e9:.1f} GB from {plan.fetch}.")
    if plan.pending:
        known = "unknown" if plan.seconds is None else duration(plan.seconds) if plan.seconds >= 1 else "under a second"
        lines.append(f"Estimated time: {known} ({plan.based_on}).")
    if plan.further:
        more = several(plan.further, "more picture")
        lines.append(f"Besides, up to {more} may be rendered, where checks try other seeds.")
    if plan.outlook:
        lines += _outlook_words(plan.outlook)
    lines += plan.notes
    lines += described(plan.problems, plan.rows)
    return "\n".join(lines)


def _outlook_words(outlook: PlacementForecast) -> list[str]:
    """The layout and a table of its actors; those that differ only in their number share a line."""
    lines = [f"Layout {outlook.layout}" + (f": {outlook.why}." if outlook.why else ".")]
    lines.append(f"  {'actor':<26}{'holds':<44}{'GiB weights':>12}{'activations':>12}  device")
    alike: dict[tuple[str, str, str, int, int], list[ActorMemory]] = {}
    for actor in outlook.actors:
        kind, shard = actor.actor.split("-")[0], actor.actor.partition(" ")[2]
        alike.setdefault((kind, shard, actor.holds, actor.weights_bytes, actor.activations_bytes), []).append(actor)
    for (*_, holds, weights, activations), actors in alike.items():
        first, last = actors[0], actors[-1]
        name = first.actor if first is last else f"{first.actor} … {last.actor}"
        where = first.device if first.device == last.device else f"{first.device} … {last.device}"
        lines.append(f"  {name:<26}{holds:<44}{weights / 2**30:>12.2f}{activations / 2**30:>12.2f}  {where}")
    return lines
