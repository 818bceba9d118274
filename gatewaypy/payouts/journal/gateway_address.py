"""The address of a journal's gateway.

An order that one gateway does not know may have been paid at another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from attrs import define

from gatewaypy.errors import ConfigurationError
from gatewaypy.platforms import Platform

if TYPE_CHECKING:
    from gatewaypy.storage import Store

_PORTS: Final = {"https": 443, "http": 80}
#: No order of the journal can have been sent. The caller knows that no other process has it open.
_IS_UNUSED: Final = (
    "(SELECT restored FROM gatewaypy_journal WHERE id = 1) = '' AND NOT EXISTS"
    " (SELECT 1 FROM gatewaypy_payouts WHERE member = ? AND (state <> 'planned' OR resent <> 0))"
)
_GATEWAY: Final = "SELECT gateway FROM gatewaypy_journal_gateways WHERE member = ?"


def normalize_address(base_url: str) -> str:
    """Return a base URL with a lower-case host, no default port and no final slash."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").rstrip(".")
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in {None, _PORTS.get(parts.scheme)} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


def address_of(gateway: object) -> str | None:
    """Return a client's normalized base URL; None if it has none."""
    base_url = getattr(getattr(gateway, "platform", None), "base_url", None)
    return normalize_address(base_url) if isinstance(base_url, str) else None


@define(eq=False)
class JournalGateway:
    """Stores the address at which one merchant's orders in a journal are paid.

    Args:
        store: The journal's store.
        member_id: The merchant.
        is_exclusive: Whether no other process can have the journal open.
    """

    store: Store
    member_id: str
    is_exclusive: bool

    async def check(self, gateway: object) -> None:
        """Compare a client with the stored address; the first one is stored.

        Raises:
            ConfigurationError: The addresses differ. Nothing was sent.
        """
        address = address_of(gateway)
        kept = await (self._kept() if address is None else self._keep(address))
        if kept is None or address == kept:
            return
        if address is None:
            msg = (
                "gateway: must have a platform with a base_url, because the journal of merchant"
                f" {self.member_id} pays at {kept}"
            )
        else:
            msg = (
                f"the journal of merchant {self.member_id} pays at {kept}, and this gateway is"
                f" {address}: orders could be paid at both; use that URL or another journal. If"
                " the gateway has moved, run"
                f" gatewaypy payouts change-gateway --url {address} --because '...'"
            )
        raise ConfigurationError(msg)

    async def change(self, base_url: str, reason: str, person: str) -> None:
        """Store another address, on a person's decision."""
        address = normalize_address(Platform(name="custom", base_url=base_url).base_url)
        await self.store.run(
            (
                "INSERT INTO gatewaypy_journal_gateways (member, gateway) VALUES (?, ?)"
                " ON CONFLICT (member) DO UPDATE SET gateway = excluded.gateway",
                (self.member_id, address),
            ),
            (
                "INSERT INTO gatewaypy_journal_history (event, reason, person) VALUES (?, ?, ?)",
                (f"gateway of merchant {self.member_id} changed to {address}", reason, person),
            ),
        )

    async def _kept(self) -> str | None:
        (rows,) = await self.store.run((_GATEWAY, (self.member_id,)))
        return str(rows[0][0]) if rows else None

    async def _keep(self, address: str) -> str | None:
        *_, rows = await self.store.run(
            (
                "INSERT INTO gatewaypy_journal_gateways (member, gateway) VALUES (?, ?)"
                " ON CONFLICT (member) DO NOTHING",
                (self.member_id, address),
            ),
            (_GATEWAY, (self.member_id,)),
        )
        if rows[0][0] == address or not self.is_exclusive:
            return str(rows[0][0])
        # A mistyped URL, where nothing can have been paid, is replaced without a person's decision.
        await self.store.run(
            (
                "UPDATE gatewaypy_journal_gateways SET gateway = ?"  # noqa: S608
                f" WHERE member = ? AND {_IS_UNUSED}",
                (address, self.member_id, self.member_id),
            )
        )
        return await self._kept()
