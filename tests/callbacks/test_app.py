"""The callback application in process: paths, methods and its lifespan."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from support.callback_bodies import MERCHANT, fields, signed

from gatewaypy.callbacks import (
    CallbackApp,
    CallbackEvent,
    Inbox,
    Receiver,
    ReceiverOptions,
    Router,
)

if TYPE_CHECKING:
    from pathlib import Path

JSON = {"Content-Type": "application/json"}


def router(handled: list[str | None]) -> Router:
    made = Router()

    @made.on(CallbackEvent)
    async def handle(event: CallbackEvent) -> None:
        handled.append(event.merchant_transaction_id)

    return made


async def post(app: CallbackApp, body: bytes) -> httpx.Response:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://shop"
    ) as http:
        return await http.post("/", content=body, headers=JSON)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/gateway/", 200),
        ("/gateway", 200),
        ("/gateway/other", 404),
        ("/shop/gateway", 404),
        ("/alone/", 200),
    ],
)
async def test_app_mounted_or_routed_answers(path: str, status: int) -> None:
    """A mount answers with the slash, a route next to it without; paths below are a 404."""
    callbacks = CallbackApp(router([]), MERCHANT)
    app = Starlette(
        routes=[
            Mount("/gateway", callbacks),
            Route("/gateway", callbacks, methods=["POST"]),
            Mount("/alone", callbacks),
        ]
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://shop"
    ) as http:
        assert (await http.post(path, content=signed(fields()), headers=JSON)).status_code == status


@pytest.mark.parametrize("app", [Starlette(), FastAPI()], ids=["starlette", "fastapi"])
@pytest.mark.parametrize("path", ["/gateway", "/gateway/"])
async def test_app_appended_route_is_answered(app: Starlette, path: str) -> None:
    """The route that docs/callbacks.md appends next to the mount answers without a redirect."""
    callbacks = CallbackApp(router([]), MERCHANT)
    app.mount("/gateway", callbacks)
    app.router.routes.append(Route("/gateway", callbacks, methods=["POST"]))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://shop"
    ) as http:
        assert (await http.post(path, content=signed(fields()), headers=JSON)).status_code == 200


@pytest.mark.parametrize("length", ["70000", "x", "-1", "9" * 40])
async def test_app_large_content_length_is_413_without_reading(length: str) -> None:
    """The header alone is enough to refuse; a length that is not a number is refused too."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        pytest.fail("the body was read")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [(b"content-length", length.encode())],
    }
    await CallbackApp(router([]), MERCHANT)(scope, receive, send)
    assert sent[0]["status"] == 413


@pytest.mark.parametrize(
    "first",
    [{"type": "http.disconnect"}, {"type": "http.request", "body": b"{", "more_body": True}],
)
async def test_app_client_disconnect_is_not_a_callback(first: dict[str, Any]) -> None:
    """A body that ends in the middle is never parsed."""
    messages, sent = [first, {"type": "http.disconnect"}], []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await CallbackApp(router([]), MERCHANT)(
        {"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send
    )
    assert sent[0]["status"] == 400


async def test_app_chunked_body_is_joined_or_refused() -> None:
    """Chunks are counted on arrival: the rest of a body that is too long is not awaited."""
    whole = signed(fields())
    for pieces, status in (
        ([whole[:10], whole[10:]], 200),
        ([b"x" * 40_000] * 3, 413),
        ([b"x", b"x" * 65_536], 413),
    ):
        messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        messages[-1]["more_body"] = False
        sent: list[dict[str, Any]] = []

        async def receive(messages: list[dict[str, Any]] = messages) -> dict[str, Any]:
            return messages.pop(0)

        async def send(message: dict[str, Any], sent: list[dict[str, Any]] = sent) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "headers": [(b"content-type", b"application/json")],
        }
        await CallbackApp(router([]), MERCHANT)(scope, receive, send)
        assert sent[0]["status"] == status


async def test_app_slow_body_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not arrive in time is a 408."""
    monkeypatch.setattr("gatewaypy.callbacks.app._BODY_SECONDS", 0.05)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await CallbackApp(router([]), MERCHANT)(
        {"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send
    )
    assert sent[0]["status"] == 408


async def test_app_body_timeout_lets_middleware_clean_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Middleware can clean up before the 408, and an exception that it raises propagates."""
    monkeypatch.setattr("gatewaypy.callbacks.app._BODY_SECONDS", 0.05)
    cleaned: list[str] = []

    async def receive() -> dict[str, Any]:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("up")
        return {}

    async def fail() -> dict[str, Any]:
        await asyncio.sleep(0)
        raise OSError

    async def send(message: dict[str, Any]) -> None:
        if "status" in message:
            cleaned.append(str(message["status"]))

    app, scope = (
        CallbackApp(router([]), MERCHANT),
        {"type": "http", "method": "POST", "path": "/", "headers": []},
    )
    await app(scope, receive, send)
    assert cleaned == ["up", "408"]
    with pytest.raises(OSError):
        await app(scope, fail, send)


async def test_app_concurrent_bodies_have_separate_timeouts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of concurrent bodies, those that do not arrive are a 408; one that arrives is answered."""
    monkeypatch.setattr("gatewaypy.callbacks.app._BODY_SECONDS", 0.1)
    app, never = CallbackApp(router([]), MERCHANT), asyncio.Event()

    async def post(*, comes: bool) -> int:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            await (asyncio.sleep(0) if comes else never.wait())
            return {"type": "http.request", "body": signed(fields())}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "headers": [(b"content-type", b"application/json")],
        }
        await app(scope, receive, send)
        return int(sent[0]["status"])

    assert await asyncio.gather(*(post(comes=comes) for comes in (False, True, False))) == [
        408,
        200,
        408,
    ]
    assert await post(comes=False) == 408


def test_app_body_timeout_works_on_every_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that served on a closed event loop also limits bodies on the next loop."""
    monkeypatch.setattr("gatewaypy.callbacks.app._BODY_SECONDS", 0.05)
    app = CallbackApp(router([]), MERCHANT)
    sent: list[dict[str, Any]] = []

    async def serve(seconds: float) -> None:
        async def receive() -> dict[str, Any]:
            await asyncio.sleep(seconds)
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await app({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send)

    asyncio.run(serve(0))
    asyncio.run(serve(60))
    assert [message["status"] for message in sent if "status" in message] == [400, 408]


async def test_app_lifespan_opens_and_closes_receiver(tmp_path: Path) -> None:
    """Startup opens the inbox and shutdown closes it; a failed start gives its reason."""
    for inbox, result in (
        (f"sqlite:///{tmp_path}/inbox.db", "complete"),
        (f"sqlite:///{tmp_path}/missing/inbox.db", "failed"),
    ):
        messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        sent: list[dict[str, Any]] = []

        async def receive(messages: list[dict[str, Any]] = messages) -> dict[str, Any]:
            return messages.pop(0)

        async def send(message: dict[str, Any], sent: list[dict[str, Any]] = sent) -> None:
            sent.append(message)

        await CallbackApp(router([]), MERCHANT, inbox=inbox)({"type": "lifespan"}, receive, send)
        assert sent[0]["type"] == f"lifespan.startup.{result}"
        assert sent[-1]["type"] == (
            "lifespan.shutdown.complete" if result == "complete" else "lifespan.startup.failed"
        )


async def test_app_mounted_opens_with_first_callback(tmp_path: Path) -> None:
    """Without a lifespan the first callbacks open it once; after a failure the next one retries."""
    handled: list[str | None] = []
    folder = tmp_path / "later"
    callbacks = CallbackApp(router(handled), MERCHANT, inbox=f"sqlite:///{folder}/inbox.db")
    transport = httpx.ASGITransport(
        app=Starlette(routes=[Mount("/gateway", callbacks)]), raise_app_exceptions=False
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        assert (
            await http.post("/gateway/", content=signed(fields()), headers=JSON)
        ).status_code == 500
        folder.mkdir()
        bodies = [signed(fields(merchantTransactionId=f"TX-{number}")) for number in range(20)]
        answers = await asyncio.gather(
            *(http.post("/gateway/", content=body, headers=JSON) for body in bodies)
        )
        assert {answer.status_code for answer in answers} == {200}
    await callbacks.__aexit__(None, None, None)
    await callbacks.__aexit__(None, None, None)
    async with Inbox(f"sqlite:///{folder}/inbox.db") as inbox:
        counts = await inbox.counts()
    assert counts["open"] + counts["done"] == 20
    assert counts["done"] == len(handled)


async def test_app_close_leaves_no_claimed_event(tmp_path: Path) -> None:
    """In any order of close and claim, unhandled events are free for the next process."""
    for number in range(40):
        url = f"sqlite:///{tmp_path}/inbox{number}.db"
        async with CallbackApp(router([]), MERCHANT, inbox=url) as callbacks:
            assert (
                await callbacks.receiver.receive(signed(fields()), "application/json")
            ).status == 200
            for _ in range(number % 8):
                await asyncio.sleep(0)
        async with Inbox(url) as inbox:
            assert (await inbox.counts())["done"] or await inbox.claim(1)


async def test_app_cancelled_request_propagates() -> None:
    """A request that is cancelled while its body arrives ends as cancelled, without an answer."""

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: dict[str, Any]) -> None:
        pytest.fail("it was answered")

    app = CallbackApp(router([]), MERCHANT)
    serving = asyncio.ensure_future(
        app({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send)
    )
    await asyncio.sleep(0)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_app_failed_open_is_retried_after_disconnect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the first request disconnected during a failed open, the next one opens the inbox."""
    app, started = (
        CallbackApp(router([]), MERCHANT, inbox=f"sqlite:///{tmp_path}/inbox.db"),
        asyncio.Event(),
    )

    async def fail() -> None:
        started.set()
        await asyncio.sleep(0)
        raise OSError

    with monkeypatch.context() as broken:
        broken.setattr(app.receiver, "__aenter__", fail, raising=False)
        first = asyncio.ensure_future(post(app, signed(fields())))
        await started.wait()
        first.cancel()
        await asyncio.wait({first})
        await asyncio.sleep(0.01)
    assert (await post(app, signed(fields()))).status_code == 200
    await app.__aexit__()


def test_app_second_event_loop_dispatches(tmp_path: Path) -> None:
    """An application that is opened on another event loop dispatches from its inbox and retries."""
    handled: list[str] = []
    failing = Router()

    @failing.on(CallbackEvent)
    async def handle(event: CallbackEvent) -> None:
        handled.append(event.payment_id or "")
        if len(handled) % 2:
            raise ZeroDivisionError

    app = CallbackApp(failing, MERCHANT, inbox=f"sqlite:///{tmp_path}/inbox.db", initial_delay=0.01)

    async def serve(payment: str) -> None:
        async with app, asyncio.timeout(10):
            assert (
                await post(
                    app, signed(fields(paymentId=payment, merchantTransactionId=f"TX-{payment}"))
                )
            ).status_code == 200
            while handled.count(payment) < 2:
                await asyncio.sleep(0.01)

    asyncio.run(serve("1"))
    asyncio.run(serve("2"))
    assert handled == ["1", "1", "2", "2"]


def test_misspelt_option_is_refused() -> None:
    """The error names the application, the option and the similar one."""
    with pytest.raises(
        TypeError,
        match=r"^CallbackApp: 'max_atempts' is not an option; did you mean 'max_attempts'\?$",
    ):
        CallbackApp(router([]), MERCHANT, max_atempts=3)  # type: ignore[call-arg]


def test_typed_options_are_those_of_receiver() -> None:
    """The typed dictionary has each keyword of the receiver, and no other."""
    parameters = inspect.signature(Receiver).parameters
    keywords = {name for name, it in parameters.items() if it.kind is it.KEYWORD_ONLY}
    assert keywords == ReceiverOptions.__optional_keys__
