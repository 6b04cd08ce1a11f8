"""Content credentials (C2PA): a signed statement inside a picture, which breaks when anything of it is changed.

It says what made the picture, that it was generated, and which reference photos went into it. Signing comes last:
whatever touches the bytes afterwards makes the signature invalid. Everything here needs the extra `sign`.
"""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.finishing.codec import content_type
from pressrun.pipeline.finishing.metadata import SOURCE_TYPES

ALGORITHMS = ("es256", "es384", "es512", "ps256", "ed25519")

_SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}},  # with it a picture takes 50 ms and 600 KB more
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},  # nothing is asked of anybody
}
_UNTRUSTED = "signingCredential.untrusted"


@dataclass(frozen=True)
class Claim:
    """What a signature vouches for. `sources` are the reference photos: the name and SHA-256 of each."""

    title: str
    format: str
    generator: str
    model: str
    model_digest: str
    digital_source_type: str
    sources: Sequence[tuple[str, str]] = ()

    def manifest(self) -> dict[str, Any]:
        """The claim as a C2PA manifest definition."""
        labels = [f"source-{number}" for number in range(1, len(self.sources) + 1)]
        action: dict[str, Any] = {
            "action": "c2pa.created",
            "digitalSourceType": SOURCE_TYPES + self.digital_source_type,
            "softwareAgent": {"name": self.model, "version": self.model_digest},
        }
        if labels:
            action["parameters"] = {"ingredientIds": labels}
        name, _, version = self.generator.partition(" ")
        return {
            "claim_generator_info": [{"name": name, "version": version or "0"}],
            "title": self.title,
            "format": content_type(self.format),
            "ingredients": [
                {"title": title, "relationship": "inputTo", "instance_id": f"urn:sha256:{digest}", "label": label}
                for (title, digest), label in zip(self.sources, labels, strict=True)
            ],
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
        }


@dataclass(frozen=True)
class Credentials:
    """What a picture's signature comes to.

    `state` is `valid` (nothing was changed since) or `invalid`; `problems` are C2PA's words for what is wrong.
    `trusted` tells whether somebody vouches for the signer: without a list of whom to trust nobody does.
    """

    state: str
    signer: str
    issuer: str
    signed_at: str
    digital_source_type: str
    sources: tuple[str, ...]
    trusted: bool
    problems: tuple[str, ...]


def sign_picture(
    data: bytes, claim: Claim, chain: str, algorithm: str, sign: Callable[[bytes], bytes], tsa: str
) -> bytes:
    """A picture file with its signed claim in it. `chain` is PEM, the signer's certificate first; `sign` makes a raw
    signature (of ECDSA: r and s); `tsa` is a time-stamping service's URL or "".

    Raises whatever the library does: every failure means that the picture is not signed.
    """
    import c2pa

    algorithms = {name: c2pa.C2paSigningAlg[name.upper()] for name in ALGORITHMS}
    with (
        c2pa.Signer.from_callback(sign, algorithms[algorithm], chain, tsa or None) as signer,
        c2pa.Builder.from_json(claim.manifest(), _context()) as builder,
    ):
        signed = io.BytesIO()
        builder.sign(signer, content_type(claim.format), io.BytesIO(data), signed)
        return signed.getvalue()


def read_credentials(data: bytes, format: str) -> Credentials | None:
    """What a picture's signature comes to; None if it has none."""
    import c2pa

    try:
        with c2pa.Reader(content_type(format), io.BytesIO(data), context=_context()) as reader:
            report, state = json.loads(reader.json()), str(reader.get_validation_state())
    except c2pa.C2paError.ManifestNotFound:
        return None
    except c2pa.C2paError as error:
        return Credentials("invalid", "", "", "", "", (), False, (str(error),))
    active = report["manifests"][report["active_manifest"]]
    signature = active.get("signature_info", {})
    codes = [each["code"] for each in report.get("validation_status", [])]
    actions = [
        action
        for assertion in active.get("assertions", [])
        if assertion["label"].startswith("c2pa.actions")
        for action in assertion["data"].get("actions", [])
    ]
    source = next((action["digitalSourceType"] for action in actions if "digitalSourceType" in action), "")
    return Credentials(
        state="valid" if state in ("Valid", "Trusted") else "invalid",
        signer=signature.get("common_name", ""),
        issuer=signature.get("issuer", ""),
        signed_at=signature.get("time", ""),
        digital_source_type=source,
        sources=tuple(f"{each.get('title')} ({each.get('instance_id')})" for each in active.get("ingredients", [])),
        trusted=state == "Trusted",
        problems=tuple(code for code in codes if code != _UNTRUSTED),
    )


def check_credentials_library() -> None:
    """Raises JobError where the extra that signs is not installed."""
    try:
        import c2pa  # noqa: F401
        import cryptography  # noqa: F401
    except ImportError:
        raise JobError('Signing needs an extra: pip install "pressrun[sign]".', code="missing_extra") from None


@cache
def _context():  # type: ignore[no-untyped-def]
    import c2pa

    return c2pa.Context.from_dict(_SETTINGS)
