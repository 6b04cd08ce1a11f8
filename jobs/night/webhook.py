"""A webhook at a night's end, after Standard Webhooks (https://www.standardwebhooks.com): what is sent is signed.

The header `webhook-signature` holds `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, one for each secret,
so that a receiver can change its secret without missing a night. An attempt that is repeated has the same id.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pressrun.cluster.net.fetch_rules import WebRules
from pressrun.cluster.net.safe_post import post
from pressrun.cluster.net.url import Url
from pressrun.jobs.spec.context import WEBHOOK_SECRET
from pressrun.jobs.text.wording import several
from pressrun.pipeline.errors import JobError, RequestError

PREFIX = "whsec_"
PAUSES_SEC = (2.0, 10.0)
"""Between three attempts: a night's end waits for them, so they are few."""

_LEAST, _MOST = 24, 64
"""Bytes of a secret, as Standard Webhooks wants them."""
_GONE = 410


@dataclass(frozen=True)
class Webhook:
    """An address, and what may be sent where."""

    url: str
    rules: WebRules

    def deliver(
        self, kind: str, data: Mapping[str, Any], keys: Sequence[bytes], pauses: Sequence[float] = PAUSES_SEC
    ) -> str:
        """Send an event, again after each of the `pauses`; a sentence if nobody took it."""
        message_id = f"msg_{secrets.token_hex(12)}"
        when = datetime.now(UTC).isoformat(timespec="seconds")
        event = {"type": kind, "timestamp": when, "data": data}
        body = json.dumps(event, ensure_ascii=False, default=str).encode(errors="replace")
        problem = ""
        for pause in (*pauses, None):
            headers = {"content-type": "application/json", **signed(message_id, int(time.time()), body, keys)}
            try:
                status = post(self.url, body, headers, self.rules)
                if 200 <= status < 300:
                    return ""
                problem = f"{Url.parse(self.url).origin} answers with status {status}"
                if status == _GONE:
                    return f"The webhook was not taken: {problem}, which means that it is wanted no more."
            except RequestError as error:
                problem = str(error).rstrip(".")
                if error.code == "reference_refused":
                    return f"The webhook is not sent: {problem}."
            if pause is not None:
                time.sleep(pause)
        return f"The webhook was not taken in {several(len(pauses) + 1, 'attempt')}: {problem}."


def signed(message_id: str, timestamp: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """The three headers of a message."""
    content = b".".join((message_id.encode(), str(timestamp).encode(), body))
    digests = (hmac.new(key, content, hashlib.sha256).digest() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join("v1," + base64.b64encode(digest).decode() for digest in digests),
    }


def keys_of(secret: str) -> list[bytes]:
    """The keys in a secret `whsec_…`, or in several with spaces between them, the new one first.

    Raises:
        JobError: there is none, or it is not one; nothing of it is repeated.
    """
    keys = []
    for one in secret.split():
        try:
            text = one.removeprefix(PREFIX)
            key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not _LEAST <= len(key) <= _MOST:
            raise JobError(
                f"{WEBHOOK_SECRET} is no secret of a webhook: {PREFIX} and the base64 of {_LEAST} to {_MOST} bytes.",
                code="environment",
            )
        keys.append(key)
    if not keys:
        raise JobError(
            f"{WEBHOOK_SECRET} is missing: a webhook is signed with it. Make one with "
            f'printf "{PREFIX}%s" "$(openssl rand -base64 32)"',
            code="environment",
        )
    return keys
