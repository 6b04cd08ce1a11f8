"""boto3's client for S3, as every server can be asked: what it is told, and what it is not.

Every write carries Content-MD5, which all servers know and buckets with Object Lock demand; not the newer checksums,
whose trailers some servers refuse. Addresses are path style unless AWS_S3_ADDRESSING_STYLE or the AWS configuration's
`s3 = addressing_style = …` says otherwise; with AWS_REQUEST_PAYER=requester whoever asks pays.
"""

import base64
import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.configprovider import ConfigChainFactory, ConfiguredEndpointProvider
from botocore.credentials import (
    AssumeRoleWithWebIdentityProvider,
    RefreshableCredentials,
    create_credential_resolver,
)
from botocore.exceptions import BotoCoreError, ConfigParseError

from pressrun.cluster.net.url import shown
from pressrun.cluster.store.s3_parser import Parsers
from pressrun.pipeline.errors import JobError

Variables: TypeAlias = tuple[tuple[str, str], ...]
"""The AWS variables of whoever asks, by name, in order: all that a client knows of an environment."""

_STYLES = ("path", "virtual", "auto")
_WRITES = ("PutObject", "UploadPart")
_CHUNK = 1 << 20


@functools.lru_cache(maxsize=32)
def s3_client(variables: Variables) -> Any:
    """boto3's client, safe for threads, made once a process for the same AWS variables: making one costs 0.1 s."""
    return _client(variables, "s3v4")


@functools.lru_cache(maxsize=32)
def unsigned_client(variables: Variables) -> Any:
    """As `s3_client`, for what a stranger without credentials can do."""
    return _client(variables, UNSIGNED)


def _client(variables: Variables, signature: Any) -> Any:
    environ = dict(variables)
    core = _session(environ)
    try:
        client = boto3.session.Session(botocore_session=core).client(
            "s3", endpoint_url=_endpoint(core, environ), config=_settings(core, environ, signature)
        )
        _check_credentials(core.get_credentials())
    except ConfigParseError as error:
        path = shown(str(error.kwargs.get("path")))
        raise JobError(
            f"The AWS file {path} cannot be read: it is no configuration, or not UTF-8.", code="environment"
        ) from None
    except (BotoCoreError, ValueError) as error:
        raise JobError(
            f"The AWS environment cannot be used ({type(error).__name__}): check AWS_PROFILE, AWS_REGION "
            "and AWS_ENDPOINT_URL_S3.",
            code="environment",
        ) from None
    client.meta.events.register("before-call.s3.HeadBucket", _stop_redirects)
    for name in _WRITES:
        client.meta.events.register(f"before-call.s3.{name}", _add_md5)
    if environ.get("AWS_REQUEST_PAYER", "").lower() == "requester":
        client.meta.events.register("before-call.s3", _add_payer)
    return client


def _session(environ: Mapping[str, str]) -> Any:
    """botocore's session, which takes from `environ` what it would take from this process's environment."""
    core = botocore.session.Session()
    parsers = Parsers()
    # botocore spends two thirds of a listing's time on time stamps that nobody looks at: text until `modified_in`.
    parsers.set_parser_defaults(timestamp_parser=str)
    core.register_component("response_parser_factory", parsers)
    chains, store = ConfigChainFactory(session=core, environ=environ), core.get_component("config_store")
    for name, (configured, variable, default, conversion) in core.SESSION_VARIABLES.items():
        chain = chains.create_config_chain(
            instance_name=name,
            env_var_names=variable,
            config_property_names=configured,
            default=default,
            conversion_func=conversion,
        )
        store.set_config_provider(name, chain)
    core.register_component("credential_provider", _Lazily(lambda: _credentials(core, environ)))
    return core


class _Lazily:
    """A resolver of credentials that is made when credentials are asked for: a profile may be missing."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def load_credentials(self) -> Any:
        """botocore's credentials, None if there are none."""
        return self._make().load_credentials()


def _credentials(core: Any, environ: Mapping[str, str]) -> Any:
    """botocore's chain of providers; those that look into an environment look into `environ`."""
    resolver = create_credential_resolver(core, region_name=core.get_config_variable("region"))
    for provider in resolver.providers:
        for attribute in ("environ", "_environ"):
            if hasattr(provider, attribute):
                setattr(provider, attribute, environ)
        if isinstance(provider, AssumeRoleWithWebIdentityProvider):
            names = provider._CONFIG_TO_ENV_VAR
            provider._get_env_config = lambda key, names=names: environ.get(names.get(key, ""))
    return resolver


def _endpoint(core: Any, environ: Mapping[str, str]) -> str | None:
    """The server that `environ` or a profile names; None for Amazon's own."""
    if core.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    given = ConfiguredEndpointProvider(
        full_config=core.full_config, scoped_config=core.get_scoped_config(), client_name="s3", environ=environ
    ).provide()
    return str(given) if given else None


def _check_credentials(credentials: Any) -> None:
    """Raise JobError for keys that nobody can have: they cannot be sent. What a service hands out is not looked at."""
    if credentials is None or isinstance(credentials, RefreshableCredentials):
        return
    keys = filter(None, (credentials.access_key, credentials.secret_key, credentials.token))
    if not all(key.isascii() and key.isprintable() for key in keys):
        raise JobError(
            "The AWS keys or token hold signs that none has, such as ü or a line's end: copy them again.",
            code="environment",
        )


def _settings(core: Any, environ: Mapping[str, str], signature: Any) -> Config:
    return Config(
        signature_version=signature,
        s3={"addressing_style": _addressing_style(core, environ)},
        ignore_configured_endpoint_urls=True,  # botocore would look for one in this process's environment
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": 3},
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=64,
    )


def _addressing_style(core: Any, environ: Mapping[str, str]) -> str:
    """The style of addresses that was chosen. botocore takes path style for IP addresses whatever it is."""
    configured = core.get_scoped_config().get("s3")
    style = environ.get("AWS_S3_ADDRESSING_STYLE") or (
        configured.get("addressing_style") if isinstance(configured, dict) else None
    )
    style = str(style or "path").strip().lower()
    if style not in _STYLES:
        raise JobError(f"AWS_S3_ADDRESSING_STYLE is {style!r}; set it to path, virtual or auto.", code="environment")
    return style


def _stop_redirects(context: dict[str, Any], **_: object) -> None:
    """botocore asks so for the region of a bucket that is elsewhere; redirected in that as well, it asks for ever."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def _add_md5(params: dict[str, Any], **_: object) -> None:
    body, md5 = params["body"], hashlib.md5(usedforsecurity=False)
    if isinstance(body, bytes | bytearray | memoryview):
        md5.update(body)
    else:  # a part of a stream, in memory
        start = body.tell()
        while chunk := body.read(_CHUNK):
            md5.update(chunk)
        body.seek(start)
    params["headers"]["Content-MD5"] = base64.b64encode(md5.digest()).decode()


def _add_payer(params: dict[str, Any], **_: object) -> None:
    params["headers"]["x-amz-request-payer"] = "requester"
