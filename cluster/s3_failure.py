"""What went wrong in S3, as one of our errors: the only place that knows botocore's.

A sentence says what could not be done, to which object, and what to do. It is made from the error's code alone: a
server's own message may quote keys and signatures.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from botocore import exceptions as aws
from urllib3.exceptions import HTTPError

from cluster.store import Refusal
from cluster.url import shown
from pipeline.errors import PressrunError, RequestError, StorageError


class Trouble(StorageError):
    """May pass: asking again can help."""


class Conflict(Trouble):
    """Another writer was at the same key at the same moment: ask again."""


class Precondition(StorageError):
    """`If-None-Match: *` was not met: an object of that name exists."""


class PastEnd(StorageError):
    """The object ends before the range that was asked for begins."""


class Unsupported(StorageError):
    """The server does not know conditional writes."""


FOREIGN = (aws.ClientError, aws.BotoCoreError, HTTPError, OSError, Trouble)
"""Everything that a call may raise and `explain` understands."""

_NETWORK = (aws.HTTPClientError, aws.ConnectionError, aws.IncompleteReadError, HTTPError, OSError, Trouble)
_CREDENTIALS = {
    "InvalidAccessKeyId": "the access key id is unknown there: check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key does not fit the access key id: check AWS_SECRET_ACCESS_KEY",
    "InvalidToken": "the session token is not accepted: check AWS_SESSION_TOKEN",
    "ExpiredToken": "the credentials have expired: renew them and run the command again",
    "ExpiredTokenException": "the credentials have expired: renew them and run the command again",
    "TokenRefreshRequired": "the credentials have expired: renew them and run the command again",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it and run the command again",
    "AuthorizationHeaderMalformed": "the region is wrong: check AWS_REGION",
    "PermanentRedirect": "the bucket is in another region: check AWS_REGION",
}
_REFUSALS = {
    "NoSuchBucket": "the bucket does not exist: create it or correct the name",
    "AccessDenied": "access is denied: ask the bucket's owner for the right to list, read, write and delete",
    "AllAccessDisabled": "access is denied: ask the bucket's owner",
    "AccountProblem": "the account is not in order: ask the bucket's owner",
    "QuotaExceeded": "the bucket's quota is used up: make room and run the command again",
}
_BAD_NAMES = {"KeyTooLongError", "InvalidURI", "ExistingObjectIsDirectory", "ExistingObjectIsFile", "InvalidObjectName"}
_PASSING = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "ThrottlingException"}
_CONFLICTS = {"ConditionalRequestConflict", "OperationAborted"}


def explain(error: Exception, verb: str, bucket: str, key: str, endpoint: str) -> PressrunError | FileNotFoundError:
    """The error that a caller of the store shall see, or one of the classes above, which the store acts upon.

    `verb` is what was to be done ("read"), `endpoint` the server's URL, of which only scheme, host and port are shown.
    """
    what = f"Cannot {verb} " + shown(f"s3://{bucket}/{key}").rstrip("/")
    if isinstance(error, aws.ClientError):
        return _explain_answer(error, verb, what)
    if isinstance(error, aws.NoCredentialsError | aws.PartialCredentialsError):
        return StorageError(f"{what}: no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
    if isinstance(error, _NETWORK):
        reason = str(error) if isinstance(error, Trouble) else _reason(error)
        return Trouble(f"{what}: {_shown(endpoint)} {reason}; check AWS_ENDPOINT_URL_S3 and the network.")
    return StorageError(f"{what}: {type(error).__name__}; check the AWS credentials and settings, then run it again.")


def _explain_answer(error: aws.ClientError, verb: str, what: str) -> PressrunError | FileNotFoundError:
    """What an answer of the server means."""
    answer: Mapping[str, Mapping] = error.response
    code = re.sub(r"[^A-Za-z0-9]", "", str(answer.get("Error", {}).get("Code", "")))[:60]
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _CREDENTIALS:
        return StorageError(f"{what}: {_CREDENTIALS[code]}.")
    if code in _REFUSALS:
        return Refusal(f"{what}: {_REFUSALS[code]}.")
    if code in _BAD_NAMES:
        return RequestError("bad_name", f"{what}: the store cannot have an object of this name ({code}).")
    if code in _CONFLICTS:
        return Conflict(f"{what}: others keep writing it ({code}); run the command again.")
    if status == 416:
        return PastEnd(f"{what}: it is shorter.")
    if status == 412:
        return Precondition(f"{what}: it exists already.")
    if status == 404 and verb in ("read", "copy"):
        return FileNotFoundError(f"There is no {what.removeprefix(f'Cannot {verb} ')}.")
    if status == 501 or (verb == "write" and status == 400 and code in {"InvalidArgument", "InvalidRequest"}):
        return Unsupported(f"{what}: the server cannot do that ({code}).")
    if status >= 500 or status == 429 or code in _PASSING:
        return Trouble(f"{what}: the server is overloaded or broken ({status} {code}); run the command again later.")
    if status == 403:
        return Refusal(f"{what}: {_REFUSALS['AccessDenied']}.")
    return StorageError(f"{what}: the server answered {status} {code}; ask its operator.")


def _reason(error: Exception) -> str:
    if isinstance(error, aws.IncompleteReadError):
        return "cut its answer off"
    if isinstance(error, aws.ReadTimeoutError | aws.ConnectTimeoutError):
        return "does not answer in time"
    if isinstance(error, aws.EndpointConnectionError | aws.ConnectionError):
        return "cannot be reached"
    if isinstance(error, aws.SSLError):
        return "has no certificate that this machine trusts"
    return "broke the connection off"


def _shown(endpoint: str) -> str:
    """An endpoint without what somebody may have hidden in it: user, password, query."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
