"""Every operation in every encoding and flow over a real socket: the data of docs/coverage.md."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from support.every_operation import WALKS, Way, ways
from support.payer_browser import PayerBrowser

from gatewaypy import Gateway, Timeouts
from gatewaypy.protocol.operations import OPERATIONS
from gatewaypy.sandbox.wire import read_fields

if TYPE_CHECKING:
    from gatewaypy.sandbox import Sandbox

pytestmark = pytest.mark.heavy


@pytest.mark.parametrize(
    ("name", "body", "accept", "flow"), ways(), ids=["-".join(way) for way in ways()]
)
async def test_every_operation(
    sandbox: Sandbox, name: str, body: Any, accept: Any, flow: str, seen: Counter[Any]
) -> None:
    """An operation reaches the ledger of the sandbox in the requested encodings."""
    timeouts = Timeouts(connect=2, read=5, total=10, inquiry=5)
    options: Any = {
        "body": "form" if body == "html" else body,
        "accept": "json" if accept == "html" else accept,
    }
    async with (
        Gateway(sandbox.base_url, sandbox.credentials, timeouts=timeouts, **options) as gateway,
        PayerBrowser() as browser,
    ):
        await WALKS[name](Way(gateway, sandbox, browser, flow))
    assert sandbox.requests.get("rejected", 0) == sandbox.requests.get("unreadable", 0) == 0
    written = "application/json" if body == "json" else "application/x-www-form-urlencoded"
    operation = OPERATIONS[name]
    if accept != "html":
        asked = seen[
            operation.root.value,
            written,
            "application/xml" if accept == "xml" else "application/json",
        ]
        assert asked, seen


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Counter[Any]:
    """Count the requests at the sandbox by root, content type and accepted type."""
    counter: Counter[Any] = Counter()
    serve = sandbox._serve

    async def counting(root: str, path: str, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        counter[root, headers["content-type"], headers["accept"]] += 1
        await serve(root, path, scope, receive, send)

    monkeypatch.setattr(sandbox, "_serve", counting)
    return counter


def test_every_operation_is_covered() -> None:
    """Each row of the operations table has its own walk, and there is no other."""
    assert set(WALKS) == set(OPERATIONS)


def test_list_is_equal_in_both_encodings() -> None:
    """The sandbox reads several products equally as a form and as JSON."""
    form = b"product%5B0%5D.quantity=1&product%5B1%5D.quantity=2"
    json = b'{"product": [{"quantity": "1"}, {"quantity": "2"}]}'
    assert read_fields(form, "application/x-www-form-urlencoded") == read_fields(
        json, "application/json"
    )
