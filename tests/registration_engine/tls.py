"""Certificates for engines and their clients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from tests.contract.certificates import self_signed

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """A self-signed certificate for 127.0.0.1, its own authority."""

    certificate: Path
    key: Path

    def serves(self, *, trusting: Identity | None = None) -> grpc.ServerCredentials:
        """Return what an engine needs; with `trusting` it asks for a client certificate of that authority."""
        pair = (self.key.read_bytes(), self.certificate.read_bytes())
        authorities = trusting.certificate.read_bytes() if trusting else None
        return grpc.ssl_server_credentials([pair], authorities, require_client_auth=trusting is not None)


def identity(directory: Path, name: str) -> Identity:
    """Make one below the directory."""
    place = directory / name
    place.mkdir()
    _, certificate = self_signed(place)
    (place / "tls.crt").write_text(certificate)
    (place / "tls.key").write_text((place / "server.pem").read_text().removesuffix(certificate))
    return Identity(place / "tls.crt", place / "tls.key")
