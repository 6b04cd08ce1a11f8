"""What went wrong in S3, as one of our errors: the only place that knows botocore's.

A sentence says what could not be done, to which object, and what to do. It is made from the error's code alone: a
server's own message may quote keys and signatures.
"""

import re
import traceback
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore import exceptions as aws
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from pressrun.cluster.net.url import shown
from pressrun.cluster.store.s3_parser import ImpossibleAnswer
from pressrun.cluster.store.store import Refusal
from pressrun.pipeline.errors import PressrunError, RequestError, StorageError


class Trouble(StorageError):
    """May pass: asking again can help."""


class Conflict(Trouble):
    """Another writer was at the same key at the same moment: ask again."""


class Precondition(StorageError):
    """`If-None-Match: *` was not met, for an object of that name exists; or `If-Match`, for it is another one."""


class PastEnd(StorageError):
    """The object ends before the range that was asked for begins."""


class Unsupported(StorageError):
    """The server does not know conditional writes."""


FOREIGN = (aws.ClientError, aws.BotoCoreError, ResponseParserError, HTTPError, OSError, Trouble)
"""Everything that a call may raise and `explain` understands."""

_NETWORK = (
    *(aws.HTTPClientError, aws.ConnectionError, aws.IncompleteReadError, ResponseParserError),
    *(HTTPError, OSError, Trouble),
)
_CREDENTIALS = {
    "InvalidAccessKeyId": "the access key id is unknown there: check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key does not fit the access key id: check AWS_SECRET_ACCESS_KEY",
    "InvalidToken": "the session token is not accepted: check AWS_SESSION_TOKEN",
    "ExpiredToken": "the credentials have expired: renew them and run the command again",
    "ExpiredTokenException": "the credentials have expired: renew them and run the command again",
    "TokenRefreshRequired": "the credentials have expired: renew them and run the command again",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it and run the command again",
}
_REGIONS = {"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"}
_ADDRESSING = {
    "SecondLevelDomainForbidden",  # Alibaba OSS
    "PathStyleDomainForbidden",  # Tencent COS
    "VirtualHostDomainRequired",  # Huawei OBS
    "InvalidPathAccess",  # Volcengine TOS
}
_REFUSALS = {
    "NoSuchBucket": "the bucket does not exist: create it or correct the name",
    "AccessDenied": "access is denied: ask the bucket's owner for the right to list, read, write and delete",
    "AllAccessDisabled": "access is denied: ask the bucket's owner",
    "AccountProblem": "the account is not in order: ask the bucket's owner",
    "QuotaExceeded": "the bucket's quota is used up: make room and run the command again",
    "InvalidObjectState": "it is archived: restore it first",
}
_PAYER = "whoever asks has to pay (requester pays): set AWS_REQUEST_PAYER=requester"
_SAID = (
    (r"requester.?pays", "", _PAYER),
    (
        r"\bkms\b",
        "",
        "the bucket's encryption key (SSE-KMS) cannot be used: ask its owner for kms:Decrypt and kms:GenerateDataKey",
    ),
    (r"stored using a form of server side encryption", "", "it is encrypted with a key of its owner's (SSE-C)"),
    (
        r"content-md5|x-amz-checksum",
        "write",
        "the bucket demands a checksum that is not known here (Object Lock, or a policy): write to another bucket",
    ),
    (
        r"\bworm\b|object.?lock|legal hold|retention|immutable",
        "write copy delete",
        "it is protected by Object Lock (a retention or a legal hold): wait until that ends, or use another bucket",
    ),
)
"""What a server's own words tell that its code does not, for what is done (always where nothing is said), and ours."""

_BAD_NAMES = {"KeyTooLongError", "InvalidURI", "ExistingObjectIsDirectory", "ExistingObjectIsFile", "InvalidObjectName"}
_PASSING = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "ThrottlingException"}
_CHANGED = {"BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"}
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
    if isinstance(error, ImpossibleAnswer):
        return StorageError(f"{what}: {_shown(endpoint)} gives an answer that cannot be: {error}; ask its operator.")
    if isinstance(error, _NETWORK):
        reason = str(error) if isinstance(error, Trouble) else _reason(error)
        return Trouble(f"{what}: {_shown(endpoint)} {reason}; check AWS_ENDPOINT_URL_S3 and the network.")
    if not isinstance(error, FOREIGN):
        reason = f"gives an answer that makes no sense ({type(error).__name__})"
        return StorageError(f"{what}: {_shown(endpoint)} {reason}; ask its operator.")
    return StorageError(f"{what}: {type(error).__name__}; check the AWS credentials and settings, then run it again.")


def _explain_answer(error: aws.ClientError, verb: str, what: str) -> PressrunError | FileNotFoundError:
    """What an answer of the server means."""
    answer: Mapping[str, Mapping[str, Any]] = error.response
    code = re.sub(r"[^A-Za-z0-9]", "", str(answer.get("Error", {}).get("Code", "")))[:60]
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = f"{status} {code}".removesuffix(f" {status}").rstrip()  # an answer without a body has its status as code
    if code in _CREDENTIALS:
        return StorageError(f"{what}: {_CREDENTIALS[code]}.")
    if code in _REGIONS or status in (301, 307):
        return StorageError(f"{what}: {_region(answer)}.")
    if code in _ADDRESSING:
        style = "this server takes no path-style addresses: set AWS_S3_ADDRESSING_STYLE=virtual"
        return StorageError(f"{what}: {style} ({code}).")
    if refusal := _refusal(answer, code, status, verb):
        return Refusal(f"{what}: {refusal}.")
    if code in _BAD_NAMES:
        return RequestError("bad_name", f"{what}: the store cannot have an object of this name ({code}).")
    if code in _CONFLICTS:
        return Conflict(f"{what}: others keep writing it ({code}); run the command again.")
    if status == 416:
        return PastEnd(f"{what}: it is shorter.")
    if status == 412:
        return Precondition(f"{what}: it exists already.")
    if status == 404 and verb == "write" and code == "NoSuchKey":
        return Precondition(f"{what}: it is gone.")
    if status == 404 and verb in ("read", "copy", "delete"):
        return FileNotFoundError(f"There is no {what.removeprefix(f'Cannot {verb} ')}.")
    if status == 501 or (
        verb in ("write", "copy", "delete") and status == 400 and code in {"InvalidArgument", "InvalidRequest"}
    ):
        return Unsupported(f"{what}: the server cannot do that ({code}).")
    if code in _CHANGED:
        return Trouble(f"{what}: the bytes do not arrive as they were sent ({code}); check the network.")
    if status >= 500 or status == 429 or code in _PASSING:
        return Trouble(f"{what}: the server is overloaded or broken ({said}); run the command again later.")
    if status == 403:
        return Refusal(f"{what}: {_REFUSALS['AccessDenied']}.")
    return StorageError(f"{what}: the server answered {said}; ask its operator.")


def stumbled(error: Exception) -> bool:
    """Whether an error that is not botocore's own was raised while botocore took an answer apart: where one lacks what
    every answer has, such as an object's key in a listing, it looks it up all the same."""
    through = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__))
    return isinstance(error, LookupError | TypeError | ValueError | AttributeError) and any(
        name.startswith("botocore.") for name in through
    )


def is_wordless(error: Exception) -> bool:
    """Whether an answer says no without saying why, as one without a body does."""
    if not isinstance(error, aws.ClientError):
        return False
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code.isdigit() and code not in ("404", "412", "416") and int(code) < 500


def _refusal(answer: Mapping[str, Mapping[str, Any]], code: str, status: int, verb: str) -> str:
    """Why a server refuses, by its code or else by its words; "" where it does not."""
    words_of_it = re.sub(r"\S*/\S*", "", str(answer.get("Error", {}).get("Message", "")))  # no key's, nor a role's
    said = "kms" if code.startswith("KMS") else f"{words_of_it} {code}"
    if status < 500 and status not in (404, 412, 416, 429):
        for words, verbs, meaning in _SAID:
            if verb in (verbs.split() or [verb]) and re.search(words, said, re.IGNORECASE):
                return meaning
    return _REFUSALS.get(code, "")


def _region(answer: Mapping[str, Mapping[str, Any]]) -> str:
    """Where the bucket is, as far as the answer tells."""
    told = answer.get("Error", {}).get("Region") or answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get(
        "x-amz-bucket-region"
    )
    region = re.sub(r"[^A-Za-z0-9-]", "", str(told or ""))[:40]
    return (
        f"the bucket is in another region: set AWS_REGION={region}"
        if region
        else ("the bucket is in another region: check AWS_REGION and AWS_ENDPOINT_URL_S3")
    )


def _reason(error: Exception) -> str:
    if isinstance(error, aws.IncompleteReadError):
        return "cut its answer off"
    if isinstance(error, ResponseParserError):
        return "sends what cannot be read"
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
