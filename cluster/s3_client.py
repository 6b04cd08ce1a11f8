"""boto3's client for S3, as every server can be asked: what it is told, and what it is not."""

import functools
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from pipeline.errors import JobError


@functools.lru_cache(maxsize=4)
def s3_client(environment: tuple[tuple[str, str], ...]) -> Any:
    """boto3's client, safe for threads, made once a process for each AWS environment: making one costs 0.1 s."""
    del environment  # boto3 reads it itself
    settings = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": 3},
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=64,
    )
    core = botocore.session.get_session()
    # botocore spends two thirds of a listing's time on time stamps that nobody looks at: left as text until `_entry`.
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
    try:
        return boto3.session.Session(botocore_session=core).client("s3", config=settings)
    except (BotoCoreError, ValueError) as error:
        raise JobError(
            f"The AWS environment cannot be used ({type(error).__name__}): check AWS_PROFILE, AWS_REGION "
            "and AWS_ENDPOINT_URL_S3."
        ) from None
