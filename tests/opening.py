"""Stores and single objects as this process's environment opens them, which a test may set."""

import os
from collections.abc import Iterable
from typing import Any

from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.store import Entry, Store
from pressrun.jobs.resolve.resolved_job import ResolvedJob, resolve
from pressrun.jobs.spec.context import Context
from pressrun.jobs.spec.job_spec import JobSpec


def stores() -> Stores:
    """What the environment gives access to now."""
    return Stores.of(os.environ)


def open_store(uri: str, **options: Any) -> Store:
    return stores().open(uri, **options)


def open_object(uri: str) -> tuple[Store, str]:
    return stores().find(uri)


def read_uri(uri: str, base: str | None = None) -> bytes:
    return stores().read(uri, base)


def stat_uri(uri: str, base: str | None = None) -> Entry | None:
    return stores().entry(uri, base)


def write_uri(uri: str, chunks: Iterable[bytes], content_type: str = "application/octet-stream") -> None:
    stores().write(uri, chunks, content_type)


def resolved(spec: JobSpec) -> ResolvedJob:
    return resolve(spec, Context.of_this_process())
