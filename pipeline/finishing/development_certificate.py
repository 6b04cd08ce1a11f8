"""A chain of certificates for development: a root and a signer's certificate under it, both marked as such.

C2PA refuses a certificate that signed itself, so two are needed even to try signing out. Nobody trusts this root:
pictures signed with it verify, and say by whom they were signed, but never that it can be believed.
"""

import datetime
from typing import TYPE_CHECKING, NamedTuple

from pressrun.pipeline.errors import JobError

if TYPE_CHECKING:
    from cryptography import x509

NAME = "Pressrun development, not to be trusted"
_YEARS = 2


class Development(NamedTuple):
    """PEM: the signer's certificate followed by the root's, and the signer's private key."""

    chain: bytes
    key: bytes


def make_development_chain() -> Development:
    """A fresh chain (P-256, ES256), valid for two years.

    Raises:
        JobError: the extra `sign` is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID
    except ImportError:
        wanted = 'Development certificates need an extra: pip install "pressrun[sign]".'
        raise JobError(wanted, code="missing_extra") from None

    now = datetime.datetime.now(datetime.UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def begun(subject: x509.Name, of: ec.EllipticCurvePrivateKey, ca: bool) -> x509.CertificateBuilder:
        issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(_name("root"))
            .public_key(of.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=365 * _YEARS))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
            .add_extension(_usage(signs_certificates=ca), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(of.public_key()), critical=False)
            .add_extension(issuer_id, critical=False)
        )

    root = begun(_name("root"), root_key, ca=True).sign(root_key, hashes.SHA256())
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
    leaf = begun(_name("signer"), key, ca=False).add_extension(purpose, critical=False).sign(root_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Development(leaf.public_bytes(pem) + root.public_bytes(pem), secret)


def _name(of: str) -> "x509.Name":
    """Whose a certificate is."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, NAME)
    return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, f"{of} ({NAME})")])


def _usage(signs_certificates: bool) -> "x509.KeyUsage":
    """What a key is for: signing certificates, or pictures."""
    from cryptography import x509

    off = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    only = dict.fromkeys(("encipher_only", "decipher_only"), False)
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        **off,
        **only,
    )
