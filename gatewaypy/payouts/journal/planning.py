"""Planning: new orders become rows, known orders are recognized by their fingerprints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

from gatewaypy.errors import InvalidRequest
from gatewaypy.pan import contains
from gatewaypy.payouts.journal.rows import NOT_ENCRYPTED, Conflict, Row
from gatewaypy.payouts.journal.sql import FINGERPRINTS, PLAN
from gatewaypy.payouts.orders import fingerprint
from gatewaypy.payouts.states import State
from gatewaypy.secret import shape_of
from gatewaypy.storage.table_parameter import table_parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatewaypy.payouts.journal.order_codec import OrderCodec
    from gatewaypy.payouts.journal.trust import JournalTrust
    from gatewaypy.payouts.orders import PayoutOrder
    from gatewaypy.storage import Store


@define(eq=False)
class OrderPlanner:
    """Plans one merchant's orders; see `Journal.plan`."""

    store: Store
    member_id: str
    codec: OrderCodec
    trust: JournalTrust

    async def plan(
        self, orders: Sequence[PayoutOrder], batch: str, owner: str
    ) -> list[Row | Conflict | None]:
        """Plan orders for an owner."""
        malformed = refusal_of_batch(batch)
        if malformed is not None:
            # A frame that raises stays in the traceback, with the values of its names.
            del batch
            raise malformed
        refused = [None if self.codec.encrypts else order.card_number_field for order in orders]
        taken = [order for order, field in zip(orders, refused, strict=True) if field is None]
        planned = iter(await self._insert(taken, batch, owner) if taken else ())
        return [
            next(planned) if field is None else Conflict(order, f"{field}: {NOT_ENCRYPTED}")
            for order, field in zip(orders, refused, strict=True)
        ]

    async def _insert(
        self, orders: Sequence[PayoutOrder], batch: str, owner: str
    ) -> list[Row | Conflict | None]:
        prints, values = [], []
        for order in orders:
            fields = order.to_fields()
            prints.append(fingerprint(fields, self.trust.key))
            values.append(
                (
                    order.merchant_transaction_id,
                    prints[-1],
                    order.amount.wire(),
                    order.amount.currency,
                    self.codec.write(fields),
                )
            )
        (inserted,) = await self.store.run(
            (PLAN, (self.member_id, batch, owner, table_parameter(values)))
        )
        new = {
            merchant_transaction_id: (int(row_id), State(state))
            for merchant_transaction_id, row_id, state in inserted
        }
        planned: list[Row | Conflict | None] = []
        known: list[int] = []
        for order in orders:
            # An order that is listed twice is new once.
            found = new.pop(order.merchant_transaction_id, None)
            if found is None:
                known.append(len(planned))
            planned.append(None if found is None else Row(found[0], order, found[1], 0, owner, 0))
        stored = await self._fingerprints([orders[index] for index in known]) if known else {}
        for index in known:
            if stored[orders[index].merchant_transaction_id] != prints[index]:
                planned[index] = Conflict(orders[index])
        return planned

    async def _fingerprints(self, orders: Sequence[PayoutOrder]) -> dict[str, str]:
        ids = table_parameter((order.merchant_transaction_id,) for order in orders)
        (found,) = await self.store.run((FINGERPRINTS, (ids, self.member_id)))
        return dict(found)


def refusal_of_batch(batch: str) -> InvalidRequest | None:
    """Return why a batch cannot have this name; batch names are stored and shown."""
    return (
        InvalidRequest("batch", "must not be a card number", shape_of(batch))
        if contains(batch, known_issuer=True)
        else None
    )
