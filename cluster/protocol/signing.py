"""Signing: who signs a job's pictures, with which certificate, and what happens when the signer fails.

    PRESSRUN_SIGN_CERTIFICATE   PEM file: the signer's certificate, then those above it
    PRESSRUN_SIGN_KEY           PEM file with its private key; or
    PRESSRUN_SIGN_COMMAND       a command that gets the bytes on stdin and writes their signature to stdout
    PRESSRUN_SIGN_TIMESTAMPS    URL of a time-stamping service (RFC 3161), if one shall say when

As with the AWS variables, what they hold reaches the workers as an actor's argument and is never written anywhere. The
command is run wherever pictures are finished.
"""

import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pressrun.pipeline.errors import JobError, SigningError
from pressrun.pipeline.finishing.credentials import Claim, check_credentials_library, sign_picture

CERTIFICATE, KEY = "PRESSRUN_SIGN_CERTIFICATE", "PRESSRUN_SIGN_KEY"
COMMAND, TIMESTAMPS = "PRESSRUN_SIGN_COMMAND", "PRESSRUN_SIGN_TIMESTAMPS"
VARIABLES = (CERTIFICATE, KEY, COMMAND, TIMESTAMPS)
COMMAND_SEC = 60.0
_WAITS_SEC = (1.0, 4.0)
"""Before a signer that failed is asked again: a service beyond the command or the time stamp may have been away."""

_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class Signing:
    """What a worker needs in order to sign. `chain` and `key` are PEM; without a key the `command` signs."""

    chain: str
    algorithm: str
    key: bytes = field(default=b"", repr=False)
    command: str = field(default="", repr=False)
    timestamps: str = ""

    def sign(self, data: bytes, claim: Claim) -> bytes:
        """A picture file with its signed claim in it.

        Raises:
            SigningError: the signer failed although it was asked again.
        """
        for wait in (*_WAITS_SEC, None):
            why: list[str] = []
            try:
                return sign_picture(data, claim, self.chain, self.algorithm, self._signer(why), self.timestamps)
            except Exception as error:  # whatever it was, the picture is not signed
                if wait is None:
                    said = why[-1] if why else f"{error}"
                    raise SigningError(f"The pictures cannot be signed: {said.rstrip('.')}.") from None
            time.sleep(wait)
        raise AssertionError

    def _signer(self, why: list[str]) -> Callable[[bytes], bytes]:
        """What signs some bytes; a reason for which it does not goes to `why`, because the library passes none on."""

        def signed(data: bytes) -> bytes:
            try:
                return self._by_command(data) if self.command else _by_key(self.key, self.algorithm, data)
            except SigningError as error:
                why.append(str(error))
                raise

        return signed

    def _by_command(self, data: bytes) -> bytes:
        words = shlex.split(self.command)
        try:
            done = subprocess.run(words, input=data, capture_output=True, timeout=COMMAND_SEC, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SigningError(f"{words[0]} ({COMMAND}) did not answer ({type(error).__name__})") from None
        if done.returncode or not done.stdout:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise SigningError(
                f"{words[0]} ({COMMAND}) ended with {done.returncode}: {said[-1] if said else 'no word'}"
            )
        return _raw(done.stdout, self.algorithm)


def signing_of(variables: Mapping[str, str]) -> Signing:
    """The signer that some variables name, tried out once.

    Raises:
        JobError: there is none, or it does not sign.
    """
    check_credentials_library()
    files = {name: variables.get(name, "") for name in (CERTIFICATE, KEY)}
    command = variables.get(COMMAND, "")
    problems = []
    if not files[CERTIFICATE]:
        problems.append(f"`sign` needs a certificate: name its PEM file in {CERTIFICATE} (pressrun dev-certificate)")
    if bool(files[KEY]) == bool(command):
        problems.append(f"`sign` needs either {KEY}, the private key's PEM file, or {COMMAND}, a command that signs")
    held = {}
    for name, path in files.items():
        try:
            held[name] = Path(path).read_bytes() if path else b""
        except OSError as error:
            problems.append(f"{name} names {path}, which cannot be read ({error.strerror})")
    if problems:
        raise JobError(*(f"{problem}." for problem in problems), code="signing")
    chain, timestamps = held[CERTIFICATE].decode("ascii", "replace"), variables.get(TIMESTAMPS, "")
    signing = Signing(chain, _algorithm_of(held[CERTIFICATE]), held[KEY], command, timestamps)
    _try_out(signing)
    return signing


def _try_out(signing: Signing) -> None:
    import numpy as np

    from pressrun.pipeline.finishing.codec import encode_picture
    from pressrun.pipeline.finishing.metadata import GENERATED

    claim = Claim("trial", "png", "Pressrun", "none", "0", GENERATED)
    try:
        signing.sign(encode_picture(np.zeros((8, 8, 3), np.uint8), "png", b"<x/>"), claim)
    except SigningError as error:
        raise JobError(f"{error} ({CERTIFICATE}, {KEY} or {COMMAND})", code="signing") from None


def _algorithm_of(chain: bytes) -> str:
    """The algorithm that goes with the first certificate's key."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    try:
        key = x509.load_pem_x509_certificates(chain)[0].public_key()
    except (ValueError, IndexError):
        raise JobError(f"{CERTIFICATE} names a file that holds no certificate in PEM.", code="signing") from None
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, rsa.RSAPublicKey):
        return "ps256"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519"
    raise JobError(
        f"{CERTIFICATE} holds a key that C2PA cannot sign with; take P-256, P-384, P-521, RSA or Ed25519.",
        code="signing",
    )


def _by_key(pem: bytes, algorithm: str, data: bytes) -> bytes:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding

    try:
        key: Any = serialization.load_pem_private_key(pem, None)
        if algorithm == "ed25519":
            return bytes(key.sign(data))
        if algorithm == "ps256":
            mask = padding.MGF1(hashes.SHA256())
            return bytes(key.sign(data, padding.PSS(mask, hashes.SHA256.digest_size), hashes.SHA256()))
        digest = {"es256": hashes.SHA256(), "es384": hashes.SHA384(), "es512": hashes.SHA512()}[algorithm]
        return _raw(key.sign(data, ec.ECDSA(digest)), algorithm)
    except (ValueError, TypeError, AttributeError) as error:
        raise SigningError(f"{KEY} holds no private key for the certificate ({type(error).__name__})") from None


def _raw(signature: bytes, algorithm: str) -> bytes:
    """An ECDSA signature as C2PA wants it, r and s side by side; OpenSSL and most services write DER."""
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    size = {"es256": 32, "es384": 48, "es512": 66}.get(algorithm)
    if size is None or len(signature) == 2 * size:
        return signature
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        raise SigningError(f"what {COMMAND} wrote is no signature for {algorithm}") from None
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")
