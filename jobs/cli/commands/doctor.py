"""`pressrun doctor`: what a machine, a place and a cluster lack, before a job finds out."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import say
from pressrun.jobs.doctor.cluster import cluster_findings
from pressrun.jobs.doctor.finding import BAD, DOUBTFUL, GOOD, Finding
from pressrun.jobs.doctor.machine import machine_findings
from pressrun.jobs.doctor.model import model_findings
from pressrun.jobs.doctor.place import place_findings
from pressrun.jobs.doctor.requirements import constraints
from pressrun.jobs.text.wording import several

_SIGNS = {GOOD: "ok", DOUBTFUL: "--", BAD: "!!"}


def add(commands: Any) -> None:
    """The options of `pressrun doctor`."""
    command = add_command(
        commands, "doctor", "check this machine, a place for jobs, and the cluster that RAY_ADDRESS names", _doctor
    )
    command.add_argument("--out", metavar="URI", help="a place where jobs shall go: a folder or s3://bucket/prefix")
    command.add_argument("--model", default="mini", metavar="NAME|DIR", help="a model that shall be rendered with")
    command.add_argument("--no-ray", action="store_true", help="start no Ray, and ask no cluster")
    command.add_argument(
        "--constraints",
        action="store_true",
        help="print the versions that are installed here, for pip's --constraint on other machines, and nothing else",
    )


def _doctor(options: argparse.Namespace) -> int:
    if options.constraints:
        say({"constraints": constraints().splitlines()} if options.json else constraints().rstrip("\n"), options.json)
        return 0
    found = []
    for finding in _findings(options):
        found.append(finding)
        if not options.json:
            say(options.flags.named(_line(finding)), False)
    bad = sum(finding.state == BAD for finding in found)
    if options.json:
        say({"findings": [asdict(finding) for finding in found], "bad": bad}, True)
    else:
        say(f"{several(bad, 'thing')} to mend." if bad else "Nothing stands in the way.", False)
    return 1 if bad else 0


def _findings(options: argparse.Namespace) -> Iterator[Finding]:
    yield from machine_findings()
    yield from model_findings(options.model)
    folder = ""
    if options.out:
        yield from place_findings(options.context.stores, options.out)
        folder = "" if options.out.lower().startswith("s3://") else options.out
    if not options.no_ray:
        if not options.json:
            print("Ray is started, or joined …", file=sys.stderr, flush=True)
        yield from cluster_findings(options.model, folder)


def _line(finding: Finding) -> str:
    advice = f": {finding.advice}" if finding.advice else ""
    return f"{_SIGNS[finding.state]}  {finding.subject:<20} {finding.said}{advice}."
