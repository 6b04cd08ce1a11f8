"""`pressrun models`: what can be rendered with."""

import argparse
from dataclasses import asdict
from typing import Any

from pressrun.jobs.cli.commands.parsing import add_command
from pressrun.jobs.cli.commands.words import say
from pressrun.pipeline.models.catalogue import Model, catalogue


def add(commands: Any) -> None:
    """The options of `pressrun models`."""
    add_command(commands, "models", "what can be rendered with, memory, licence, what is on disk", _models)


def _models(options: argparse.Namespace) -> int:
    models = catalogue().values()
    if options.json:
        say([_model_facts(model) for model in models], True)
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
