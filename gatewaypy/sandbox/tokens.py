"""The sandbox's tokens: JWTs that expire, several valid at once, each for the root that gave it and the login that asked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


_HEADER: Final = _part(b'{"typ":"JWT","alg":"HS256"}')


@frozen
class Grant:
    """Who got a token, and until when it is good."""

    login: str
    role: str
    expiry: float


class TokenIssuer:
    """Grants tokens and knows the ones it granted."""

    def __init__(self, *, lifetime: float, wall_clock: Callable[[], float], random: Random) -> None:
        """Open a payments whose tokens live that many seconds."""
        self.lifetime = lifetime
        self.granted = 0
        self._wall_clock = wall_clock
        self._random = random
        self._grants: dict[tuple[str, str], Grant] = {}

    def grant(self, root: str, login: str, role: str) -> str:
        """Grant a token for one root."""
        expiry = self._wall_clock() + self.lifetime
        claims: dict[str, Any] = {
            "sub": login,
            "role": role,
            "iss": "PZ",
            "exp": int(expiry),
            "jti": self._random.getrandbits(64),
        }
        signed = f"{_HEADER}.{_part(json.dumps(claims).encode())}"
        token = f"{signed}.{_part(hmac.digest(b'sandbox', signed.encode(), hashlib.sha256))}"
        self._grants[root, token] = Grant(login, role, expiry)
        self.granted += 1
        return token

    def holder(self, root: str, token: str | None) -> Grant | None:
        """Return who got a token from this root, unless it has expired."""
        grant = self._grants.get((root, token or ""))
        return grant if grant is not None and grant.expiry > self._wall_clock() else None

    def expire_all(self) -> None:
        """Let every token granted so far end now, whatever its ``exp`` says."""
        self._grants.clear()
