"""The sandbox's tokens: JWTs that expire, each for one service root and one login.

Several tokens of a login can be valid at the same time.
"""

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
    """The login and role of a token, and its expiry in seconds since the epoch."""

    login: str
    role: str
    expiry: float


class TokenIssuer:
    """Issues tokens, and looks them up.

    Args:
        lifetime: Lifetime of a token in seconds.
        wall_clock: A clock in seconds since the epoch.
        random: Makes each token unique.
    """

    def __init__(self, *, lifetime: float, wall_clock: Callable[[], float], random: Random) -> None:
        """Start without tokens."""
        self.lifetime = lifetime
        self.granted = 0
        self._wall_clock = wall_clock
        self._random = random
        self._grants: dict[tuple[str, str], Grant] = {}

    def grant(self, root: str, login: str, role: str) -> str:
        """Issue a token for one service root.

        Args:
            root: The service root.
            login: The merchant's or partner's login.
            role: ``"merchant"`` or ``"partner"``.

        Returns:
            The token.
        """
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
        """Return the grant of a valid token of a service root; ``None`` for any other token."""
        grant = self._grants.get((root, token or ""))
        return grant if grant is not None and grant.expiry > self._wall_clock() else None

    def expire_all(self) -> None:
        """Invalidate every token issued so far, regardless of its ``exp``."""
        self._grants.clear()
