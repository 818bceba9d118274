"""The rules of the journal on both stores: who may move a row, by which answer and attempt."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from gatewaypy import Customer, Money, errors
from gatewaypy.payouts import Journal, PayoutOrder, PayoutUpdate, State

if TYPE_CHECKING:
    from pathlib import Path

MEMBER = "11344"
ADA = Customer("Ada", "Lovelace", "ada@shop.example")
PAID = PayoutUpdate(state=State.SUCCEEDED, payment_id="7", outcome_source="reply")
DECLINED = PayoutUpdate(state=State.FAILED, code="10001", outcome_source="reply")
UNKNOWN = PayoutUpdate(state=State.UNKNOWN, evidence="no answer")


def order(number: int) -> PayoutOrder:
    return PayoutOrder(
        merchant_transaction_id=f"P-{number}", amount=Money("5.00", "EUR"), customer=ADA
    )


async def sent(journal: Journal, number: int = 1) -> Any:
    """Plan an order and write its intent."""
    (row,) = await journal.plan([order(number)])
    assert await journal.record_intent(row) == 1
    return row


async def in_state(journal: Journal, state: State) -> list[Any]:
    return await journal.list_entries(state=state)


async def test_journal_batched_updates_keep_their_results(store_url: str) -> None:
    """Batched intents and answers each have their own effect and return their own result."""
    async with Journal(store_url, MEMBER) as journal:
        rows = await journal.plan([order(number) for number in range(200)])
        lost, *_ = await journal.claim(State.PLANNED, limit=1)
        attempts = await asyncio.gather(*(journal.record_intent(row) for row in [*rows, rows[5]]))
        assert attempts == [0, *[1] * 199, 0]
        states = await asyncio.gather(
            *(
                journal.record(f"P-{n}", DECLINED if n % 2 else PAID, attempt=1)
                for n in range(1, 200)
            )
        )
        assert states == [State.FAILED if n % 2 else State.SUCCEEDED for n in range(1, 200)]
        assert await journal.record("P-200", PAID) is None
        (left,) = await in_state(journal, State.PLANNED)
        assert left.id == lost.id


async def test_journal_repeated_order_is_new_once(store_url: str) -> None:
    """The second of two equal orders is known; one with another amount is reported."""
    async with Journal(store_url, MEMBER) as journal:
        other = PayoutOrder(
            merchant_transaction_id="P-1", amount=Money("6.00", "EUR"), customer=ADA
        )
        first, second, third = await journal.plan([order(1), order(1), other])
        assert (first.id > 0, second, third.order) == (True, None, other)


async def test_journal_review_requires_the_owner(store_url: str) -> None:
    """A slow process whose row was claimed by another cannot send it to review."""
    async with Journal(store_url, MEMBER) as slow:
        other = Journal(slow._store, MEMBER)
        await sent(slow)
        await slow.record("P-1", UNKNOWN, attempt=1)
        (row,) = await slow.owned_rows(State.UNKNOWN)
        (taken,) = await other.claim(State.UNKNOWN)
        assert not await slow.move_to_review(row, "not found", is_absent=True)
        assert await in_state(slow, State.REVIEW) == []
        assert await other.move_to_review(taken, "not found", is_absent=True)
        (listed,) = await in_state(slow, State.REVIEW)
        assert listed.evidence == "not found"


@pytest.mark.parametrize("update", [PAID, DECLINED], ids=["paid", "declined"])
async def test_review_not_found_order_can_be_settled(store_url: str, update: PayoutUpdate) -> None:
    """An order in review because it was not found leaves it by an inquiry or a callback."""
    async with Journal(store_url, MEMBER) as journal:
        await sent(journal)
        await journal.record("P-1", UNKNOWN, attempt=1)
        (row,) = await journal.owned_rows(State.UNKNOWN)
        assert await journal.move_to_review(row, "not found for 120 s", is_absent=True)
        assert await journal.record("P-1", update) is update.state
        (listed,) = await in_state(journal, update.state)
        assert listed.evidence == "not found for 120 s"


async def test_review_contradiction_requires_a_person(store_url: str) -> None:
    """A repeated report does not resolve a contradiction; a decision does."""
    async with Journal(store_url, MEMBER) as journal:
        await sent(journal)
        await journal.record("P-1", PAID, attempt=1)
        assert await journal.record("P-1", DECLINED) is State.REVIEW
        assert [await journal.record("P-1", update) for update in (PAID, DECLINED, PAID)] == [
            State.REVIEW
        ] * 3
        assert await journal.resolve("P-1", State.FAILED, "the bank says it never arrived")
        assert await journal.record("P-1", DECLINED) is State.FAILED
        assert await journal.record("P-1", PAID) is State.REVIEW


@pytest.mark.parametrize("is_absent", [True, False], ids=["not found", "contradicted"])
async def test_review_records_later_evidence(store_url: str, is_absent: bool) -> None:
    """What arrives while a row is in review is added to its evidence, once."""
    other = PayoutUpdate(
        state=State.REVIEW, evidence="callback: another amount: 6.00, not 5.00, payment 8"
    )
    async with Journal(store_url, MEMBER) as journal:
        await sent(journal)
        await journal.record("P-1", UNKNOWN, attempt=1)
        (row,) = await journal.owned_rows(State.UNKNOWN)
        assert await journal.move_to_review(row, "not found for 120 s", is_absent=is_absent)
        for update in (other, other) if is_absent else (other, PAID, DECLINED, PAID, other):
            assert await journal.record("P-1", update) is State.REVIEW
        (listed,) = await in_state(journal, State.REVIEW)
        counts = [
            (listed.evidence or "").count(text)
            for text in ("6.00", "reply says succeeded", "reply says failed")
        ]
        assert counts == ([1, 0, 0] if is_absent else [1, 1, 1])


@pytest.mark.parametrize("doubt", [State.PENDING, State.UNKNOWN])
async def test_failure_of_second_payment_goes_to_review(store_url: str, doubt: State) -> None:
    """A failure under another payment id leaves the first payment open."""
    async with Journal(store_url, MEMBER) as journal:
        await sent(journal)
        await journal.record("P-1", PayoutUpdate(state=doubt, payment_id="7"), attempt=1)
        assert (
            await journal.record(
                "P-1", PayoutUpdate(state=State.FAILED, payment_id="8", outcome_source="callback")
            )
            is State.REVIEW
        )
        (listed,) = await in_state(journal, State.REVIEW)
        assert ("payment 7" in (listed.evidence or ""), "payment 8" in (listed.evidence or "")) == (
            True,
            True,
        )


async def again(journal: Journal) -> Any:
    """Move an order to its second attempt: the first was not found, and it is sent again."""
    await sent(journal)
    await journal.record("P-1", UNKNOWN, attempt=1)
    (row,) = await journal.owned_rows(State.UNKNOWN)
    planned = await journal.replan(row, "not found")
    assert planned is not None
    assert await journal.record_intent(planned) == 2
    return planned


@pytest.mark.parametrize(
    ("late", "attempt"),
    [(DECLINED, 1), (UNKNOWN, 1), (DECLINED, None)],
    ids=["declined", "no answer", "a callback"],
)
async def test_failure_of_earlier_attempt_is_ignored(
    store_url: str, late: PayoutUpdate, attempt: int | None
) -> None:
    """While the second attempt is in flight, only its own answer fails it or makes it unknown."""
    async with Journal(store_url, MEMBER) as journal:
        await again(journal)
        assert await journal.record("P-1", late, attempt=attempt) is State.SENDING
        assert await journal.record("P-1", PAID, attempt=2) is State.SUCCEEDED
        # A decline followed by a payment is not a contradiction.
        assert await journal.record("P-1", DECLINED, attempt=1) is State.SUCCEEDED
        assert await journal.record("P-1", DECLINED, attempt=2) is State.REVIEW


async def test_failed_payment_of_earlier_attempt_is_ignored(store_url: str) -> None:
    """A late failure of the first attempt does not change the pending second attempt."""
    async with Journal(store_url, MEMBER) as journal:
        await again(journal)
        await journal.record("P-1", PayoutUpdate(state=State.PENDING, payment_id="9"), attempt=2)
        assert (
            await journal.record("P-1", PayoutUpdate(state=State.FAILED, payment_id="7"))
            is State.PENDING
        )


async def test_report_without_attempt_never_ends_lost_attempt(
    store_url: str,
) -> None:
    """A late callback of a failed first attempt leaves the lost second one to its inquiry."""
    async with Journal(store_url, MEMBER) as journal:
        await again(journal)
        await journal.record("P-1", UNKNOWN, attempt=2)
        assert await journal.record("P-1", DECLINED) is State.UNKNOWN
        assert await journal.record("P-1", DECLINED, attempt=2) is State.FAILED


async def test_other_amount_is_added_to_evidence(store_url: str) -> None:
    """A report with another amount for an order in flight is stored in its evidence."""
    async with Journal(store_url, MEMBER) as journal:
        await sent(journal)
        update = PayoutUpdate(state=State.REVIEW, evidence="callback reports 6.00 EUR, payment 7")
        assert await journal.record("P-1", update) is State.SENDING
        await journal.record("P-1", PAID, attempt=1)
        (row,) = await in_state(journal, State.SUCCEEDED)
        assert "6.00 EUR" in (row.evidence or "")


async def test_success_of_earlier_attempt_is_success(store_url: str) -> None:
    """Money that moved counts for each attempt."""
    async with Journal(store_url, MEMBER) as journal:
        await again(journal)
        assert await journal.record("P-1", PAID, attempt=1) is State.SUCCEEDED
        assert await journal.record("P-1", DECLINED, attempt=2) is State.REVIEW


async def test_journal_failing_store_fails_every_caller(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No caller of a failed statement gets a success, and the next call works."""
    async with Journal(store_url, MEMBER) as journal:
        rows = await journal.plan([order(number) for number in range(3)])

        async def fail(*_: Any) -> Any:
            raise OSError("the disk is gone")

        monkeypatch.setattr(journal._store, "run", fail)
        outcomes = await asyncio.gather(
            *(journal.record_intent(row) for row in rows), return_exceptions=True
        )
        assert [str(error) for error in outcomes] == ["the disk is gone"] * 3
        monkeypatch.undo()
        assert await asyncio.gather(*(journal.record_intent(row) for row in rows)) == [1, 1, 1]


async def test_journal_cancelled_caller_affects_no_other(store_url: str) -> None:
    """One of several batched calls may be cancelled: the others are answered."""
    async with Journal(store_url, MEMBER) as journal:
        rows = await journal.plan([order(number) for number in range(3)])
        calls = [asyncio.ensure_future(journal.record_intent(row)) for row in rows]
        await asyncio.sleep(0)
        calls[1].cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert (outcomes[0], outcomes[2]) == (1, 1)
        assert isinstance(outcomes[1], asyncio.CancelledError)


async def test_journal_stores_any_gateway_text(store_url: str) -> None:
    """Quotes, an unpaired surrogate and NUL break no statement and no other row."""
    said = PayoutUpdate(
        state=State.FAILED,
        code="10001",
        description='no "}, \\ \ud83d \0 ☃',
        outcome_source="reply",
    )
    async with Journal(store_url, MEMBER) as journal:
        await sent(journal, 1)
        await sent(journal, 2)
        assert await asyncio.gather(
            journal.record("P-1", said, attempt=1), journal.record("P-2", PAID, attempt=1)
        ) == [
            State.FAILED,
            State.SUCCEEDED,
        ]
        (failed,) = await in_state(journal, State.FAILED)
        assert failed.description == 'no "}, \\ \\ud83d \\x00 ☃'


def locks(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*.owner")]


async def test_journal_lock_follows_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links, a linked folder and relative paths all reach the same lock."""
    (tmp_path / "link.db").symlink_to(tmp_path / "payouts.db")
    (tmp_path / "folder").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    spellings = [
        f"{tmp_path}/payouts.db",
        f"{tmp_path}/link.db",
        "payouts.db",
        "folder/link.db",
        "./folder/payouts.db",
    ]
    for first in spellings:
        async with Journal(f"sqlite:///{first}", MEMBER):
            for second in spellings:
                with pytest.raises(
                    errors.ConfigurationError, match="another process runs this journal"
                ):
                    await Journal(f"sqlite:///{second}", MEMBER).__aenter__()
    assert locks(tmp_path) == ["payouts.db.owner"]


async def test_journal_free_text_has_no_card_number(store_url: str) -> None:
    """A card number is refused in a batch name, and masked in a reason or a description."""
    pan = "4111111111111111"
    async with Journal(store_url, MEMBER) as journal:
        with pytest.raises(
            errors.InvalidRequest, match="batch: must not be a card number"
        ) as refused:
            await journal.plan([order(1)], batch=f"pay {pan}")
        assert pan not in str(vars(refused.value))
        await sent(journal)
        await journal.record("P-1", UNKNOWN, attempt=1)
        (row,) = await journal.owned_rows(State.UNKNOWN)
        assert await journal.move_to_review(row, "not found", is_absent=True)
        assert await journal.resolve(
            "P-1", State.FAILED, f"the bank says that 4111 1111 1111 1111 was not\npaid {pan}"
        )
        (listed,) = await in_state(journal, State.FAILED)
        assert (
            listed.evidence
            == r"not found / decided: the bank says that 411111******1111 was not\npaid 411111******1111"
        )


def bytes_in(folder: Path) -> bytes:
    """Read every file."""
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def test_journal_unencrypted_refuses_card_numbers(store_url: str, tmp_path: Path) -> None:
    """An unencrypted journal has no byte of a card number, in any field."""
    pan = "4111111111111111"
    customers = [Customer(given_name=pan), Customer(phone=pan), Customer(sex=pan)]
    orders = [
        PayoutOrder(merchant_transaction_id=f"P-{n}", amount=Money("5.00", "EUR"), customer=c)
        for n, c in enumerate(customers)
    ]
    orders.append(attrs.evolve(order(9), extra={"note": f"pay {pan} 2026-11-26"}))
    async with Journal(store_url, MEMBER) as journal:
        planned = await journal.plan(orders)
        assert [getattr(row, "evidence", "").partition(":")[0] for row in planned] == [
            "customer.given_name",
            "customer.phone",
            "customer.sex",
            "extra.note",
        ]
        assert pan not in repr(planned)
    assert pan.encode() not in bytes_in(tmp_path)
