"""The command line. It parses, calls one function of this package, and says in words or JSON what came of it.

Exit codes: 0 all rows succeeded or cached, 1 some failed or were rejected (`verify`: discrepancies), 2 refused,
3 stopped and resumable.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cluster.layout import NAMES as LAYOUTS
from cluster.runtime import open_streams, terminable
from cluster.store import Refusal, open_store
from jobs.bad_rows import described
from jobs.causes import Cause
from jobs.driver import Forecast, forecast, render
from jobs.failures import failed_rows, rows_of, write_manifest
from jobs.job import JobSpec, product_version
from jobs.order import PRECISIONS
from jobs.progress import Terse, duration, progress_for
from jobs.status import Status, read_status
from jobs.summary import Summary
from jobs.verify import verify
from jobs.wording import first_of, shortened
from pipeline.catalogue import Model, catalogue
from pipeline.errors import JobError, PressrunError, StorageError
from pipeline.picture import FORMATS

_MAX_SENTENCE = 600
"""Characters of an error's sentence that a line repeats."""

_EXAMPLES = """examples:
  pressrun render catalog.parquet --out ./out/run-1
  pressrun render catalog.parquet --out s3://shop/run-1 --format jpeg --name "{sku}/{season}-{width}x{height}"
  pressrun render s3://shop/manifests/tonight/ --out s3://shop/tonight --limit 20
  pressrun render catalog.parquet --out ./out/run-1 --dry-run
  pressrun status s3://shop/run-1 --watch
  pressrun failures ./out/run-1 --out again.parquet

Endpoint and credentials of a bucket come from the standard AWS environment (AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID, …).
RAY_ADDRESS joins a running Ray cluster; without it Ray starts on this machine and is gone afterwards.
exit codes: 0 all rows succeeded, 1 some failed, 2 refused, 3 stopped (the same command goes on)"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    open_streams()
    options = parser().parse_args(arguments)
    code = 3 if options.run is _render else 0  # where the reader of our output ends it
    try:
        with terminable():
            code = options.run(options)
        print(end="", flush=True)
        return code
    except JobError as error:
        _refused(error.problems, options.json)
        return 2
    except StorageError as error:
        _refused([str(error)], options.json)
        return 2 if isinstance(error, Refusal) else 3
    except PressrunError as error:
        _refused([str(error)], options.json)
        return 2
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return code
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on.", file=sys.stderr)
        return 3


def parser() -> argparse.ArgumentParser:
    """Every command with its options and help."""
    top = argparse.ArgumentParser(
        prog="pressrun",
        description="Render a manifest of prompts into finished pictures, on this machine or on a Ray cluster.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"pressrun {product_version()}")
    commands = top.add_subparsers(required=True, metavar="COMMAND", title="commands")
    _add_render(commands)
    status = _command(commands, "status", "counts, images/s, time left, errors grouped by cause", _status)
    status.add_argument("uri", metavar="URI", help="a job's --out")
    status.add_argument("--watch", action="store_true", help="again every few seconds until the job is done")
    failures = _command(commands, "failures", "the failed rows as a manifest that render takes", _failures)
    failures.add_argument("uri", metavar="URI", help="a job's --out")
    failures.add_argument(
        "--out", metavar="FILE", help="write them to this Parquet or JSONL file instead of listing them"
    )
    check = _command(
        commands, "verify", "audit: every row accounted for, every digest right, no picture too many", _verify
    )
    check.add_argument("uri", metavar="URI", help="a job's --out")
    _command(commands, "models", "what can be rendered with, memory, licence, what is on disk", _models)
    return top


def _add_render(commands: Any) -> None:
    command = _command(commands, "render", "render a manifest, or go on with it", _render)
    command.add_argument(
        "manifest", metavar="MANIFEST", help="a Parquet, JSONL or CSV file or a folder of parts, or s3://…"
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
    command.add_argument("--shards", type=int, metavar="K", help="actors that share one transformer (default: 1)")
    command.add_argument("--precision", choices=PRECISIONS, help="of weights and arithmetic (default: the model's own)")
    command.add_argument("--format", default="png", choices=FORMATS, help="of the pictures (default: %(default)s)")
    command.add_argument(
        "--name", default="{custom_id}", metavar="TEMPLATE", help="name over columns (default: %(default)s)"
    )
    command.add_argument("--limit", type=int, metavar="N", help="stop after the manifest's first N rows")
    command.add_argument("--max-failures", metavar="N|P%%", help="stop when more rows than this have failed")
    command.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="HOST",
        help="a private web server that references may come from",
    )
    command.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def _command(commands: Any, name: str, help: str, run: Any) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--json", action="store_true", help="print JSON on stdout and nothing else there")
    command.set_defaults(run=run)
    return command


def _render(options: argparse.Namespace) -> int:
    names = ("manifest", "out", "model", "precision", "format", "name", "layout", "replicas", "shards", "limit")
    more = {name: getattr(options, name) for name in ("max_failures", "accept_license")}
    spec = JobSpec(**{name: getattr(options, name) for name in names}, **more, allow_hosts=tuple(options.allow_host))
    if options.dry_run:
        plan = forecast(spec)
        _print(asdict(plan) if options.json else _forecast_words(plan), options.json)
        return 0
    summary = render(spec, Terse(sys.stderr) if options.json else progress_for(sys.stderr))
    if options.json:
        _print(asdict(summary), True)
    else:
        print("\n".join(_summary_words(summary)))
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
        lines.append(
            f"Rendered {summary.rendered} pictures in {duration(summary.seconds)}"
            f" ({summary.images_per_second:.2f} images/s)."
        )
    elif not summary.stopped:
        lines.append("Nothing was left to render.")
    lines += _cause_words(summary.causes)
    if summary.failed:
        lines.append(f"The failed rows as a manifest: pressrun failures {summary.out} --out again.parquet")
    if summary.stopped:
        lines.append(f"Stopped: {summary.stopped} The same command goes on.")
    else:
        lines.append(f"Contact sheet: {summary.out}/index.html")
    return lines


def _cause_words(causes: Sequence[Cause]) -> list[str]:
    """A line for each cause: how many rows, what was wrong, the first of them."""
    return [
        f"  {cause.rows} x {cause.code}, e.g. {first_of(cause.custom_ids)}: {shortened(cause.example, _MAX_SENTENCE)}"
        for cause in causes
    ]


def _forecast_words(plan: Forecast) -> str:
    done = f"{plan.done} done already ({plan.cached} cached), {plan.bad} bad"
    lines = [f"{plan.rows} rows: {done}, {plan.pending} to render in {plan.units} units."]
    lines += [f"  {rows:>8} x {shape}" for shape, rows in plan.shapes.items()]
    if plan.fetch:
        lines.append(f"The model would be fetched first: about {plan.fetch_bytes / 1e9:.1f} GB from {plan.fetch}.")
    if plan.pending:
        known = duration(plan.seconds) if plan.seconds is not None else "unknown"
        lines.append(f"Estimated time: {known} ({plan.based_on}).")
    lines += described(plan.problems, plan.rows)
    return "\n".join(lines)


def _status(options: argparse.Namespace) -> int:
    store = open_store(options.uri)
    while True:
        status = read_status(store)
        _print(status.to_dict() if options.json else _status_words(status), options.json)
        if not options.watch or status.finished:
            return 0
        time.sleep(3)


def _status_words(status: Status) -> str:
    parts = [f"{getattr(status, name)} {name}" for name in ("succeeded", "cached", "failed", "rejected", "pending")]
    lines = [f"{status.out} ({status.model}): {status.rows} rows: {', '.join(parts)}."]
    if status.images_per_second:
        left = f", {duration(status.seconds_left)} left" if status.seconds_left else ""
        lines.append(f"{status.images_per_second:.2f} images/s{left}.")
    lines += _cause_words(status.causes)
    if not status.finished:
        lines.append("Not finished; render again to go on.")
    return "\n".join(lines)


def _failures(options: argparse.Namespace) -> int:
    table = failed_rows(open_store(options.uri))
    if options.out:
        write_manifest(table, options.out)
        _print(
            {"rows": table.num_rows, "out": options.out} if options.json else f"{table.num_rows} rows: {options.out}",
            options.json,
        )
    elif options.json:
        _print(list(rows_of(table)), True)
    else:
        for row in rows_of(table.select(["custom_id", "prompt"])):
            print(f"{shortened(row['custom_id'])}\t{shortened(row['prompt'] or '')}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    audit = verify(open_store(options.uri))
    if options.json:
        _print(audit.to_dict(), True)
    else:
        for wrong in audit.discrepancies:
            print(f"{wrong.kind}: {wrong.message}")
        verdict = f"{len(audit.discrepancies)} discrepancies" if audit.discrepancies else "all is as it should be"
        print(f"{audit.rows} rows, {audit.pictures} pictures: {verdict}.")
    return 1 if audit.discrepancies else 0


def _models(options: argparse.Namespace) -> int:
    models = catalogue().values()
    if options.json:
        _print([_model_facts(model) for model in models], True)
        return 0
    print(f"{'name':<22}{'GiB bf16':>9}  {'steps':>5}  licence")
    for model in models:
        accept = " (--accept-license)" if model.non_commercial else ""
        print(f"{model.name:<22}{model.bytes / 2**30:>9.2f}  {model.steps:>5}  {model.licence}{accept}")
        if model.licence_url:
            print(f"{'':<24}{model.licence_url}")
        print(f"{'':<24}{model.folder or f'not on this machine; fetched from {model.repo} when a job needs it'}")
    return 0


def _model_facts(model: Model) -> dict[str, Any]:
    folder = str(model.folder) if model.folder else None
    return {**asdict(model), "bytes": model.bytes, "on_disk": folder is not None, "folder": folder}


def _refused(problems: Sequence[str], as_json: bool) -> None:
    if as_json:
        _print({"refused": list(problems)}, True)
    for problem in problems:
        print(f"pressrun: {problem}", file=sys.stderr)


def _print(what: Any, as_json: bool) -> None:
    if as_json:
        text = json.dumps(what, indent=2, ensure_ascii=False, default=str)
        what = text.encode(errors="replace").decode()  # a manifest's text may hold bytes that are no character
    print(what, flush=True)


if __name__ == "__main__":
    sys.exit(main())
