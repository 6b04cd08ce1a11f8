"""What every command's options have in common: `--json`, the examples under its help, and the function that runs it."""

import argparse
from collections.abc import Callable
from typing import Any

_EXAMPLES = """
  pressrun new campaign ./spring
  pressrun variants campaign.toml --out manifest.parquet
  pressrun render catalog.parquet --out ./out/run-1
  pressrun render catalog.parquet --out s3://shop/run-1 --format jpeg --name "{sku}/{season}-{width}x{height}"
  pressrun render s3://shop/manifests/tonight/ --out s3://shop/tonight --since s3://shop/last-night
  pressrun render catalog.parquet --out ./out/run-1 --finish finish.toml --sign
  pressrun render catalog.parquet --out ./out/run-1 --dry-run
  pressrun status s3://shop/run-1 --watch
  pressrun failures ./out/run-1 --out again.parquet
  pressrun verify s3://shop/run-1 --signatures
  pressrun sheet ./out/run-1 --rows product --columns region
  pressrun decide ./out/run-1 marks.json --reject mug-de,mug-fr --comment "too dark"
  pressrun bundle ./out/run-1 --by channel --name "{sku}-{width}x{height}"
  pressrun publish s3://shop/tonight --to s3://shop-cdn/pictures --dry-run
  pressrun publish --to s3://shop-cdn/pictures --purge mug.png --dry-run
  pressrun publish --undo latest --to s3://shop-cdn/pictures
  pressrun diff s3://shop/last-night s3://shop/tonight --sheet diff.html
  pressrun prune s3://shop/nights/ --keep 7 --dry-run
  pressrun night night.toml --dry-run
  pressrun status s3://shop/nights
  pressrun inspect ./out/run-1/images/*.png
  pressrun doctor --out s3://shop/nights --model flux2-klein-4b
  pressrun dev-certificate ./certificate
  pressrun models
"""

_FOR_ALL = """
Endpoint and credentials of a bucket come from the standard AWS environment (AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID, …).
RAY_ADDRESS joins a running Ray cluster; without it Ray starts on this machine and is gone afterwards.
exit codes: 0 all rows succeeded, 1 some failed, 2 refused (all reasons are listed), 3 stopped (the same goes on)"""


def epilog(command: str = "") -> str:
    """What stands under the help: the examples of one command, or of all, and what holds for every one."""
    lines = [line for line in _EXAMPLES.strip("\n").split("\n") if line.startswith(f"  pressrun {command}".rstrip())]
    return "\n".join(["examples:", *lines, _FOR_ALL])


def add_command(
    commands: Any, name: str, help: str, run: Callable[[argparse.Namespace], int], resumable: bool = False
) -> argparse.ArgumentParser:
    """One more command: `run` takes its options and returns the exit code. `resumable`: who interrupts it, or stops
    reading what it says, can go on with the same command."""
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=epilog(name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--json", action="store_true", help="print JSON on stdout and nothing else there")
    command.set_defaults(run=run, resumable=resumable)
    return command
