"""The sandbox's callbacks: posted to ``notificationUrl``, tried again, and on wish repeated, delayed, shuffled or spoilt."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlencode

from attrs import define, field

from gatewaypy.callbacks.signature import sign_callback
from gatewaypy.config import number

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from random import Random

    from gatewaypy.config import Credentials

_PATIENCE: Final = 10.0


@define
class CallbackStyle:
    """How the sandbox sends its callbacks; change it while it runs: ``sandbox.callback_sender.style.repeat = 2``.

    :param pauses: seconds to wait before the second try, the third, and so on; a try counts as heard with a 2xx.
    :param repeat: how often each callback is sent, as if the gateway had not heard the answer.
    :param delay: seconds before the first try.
    :param shuffle: up to so many seconds more, by chance, so that callbacks overtake each other.
    :param drop: how likely one is never sent, from 0 to 1.
    :param corrupt: how likely one is sent with a signature that fits no key, from 0 to 1.
    :param status: which status is signed.
    :param body: nested JSON, or a flat form with the browser return's names.
    :param signed: false leaves the checksum out.
    """

    pauses: tuple[float, ...] = (0.2, 1.0, 5.0)
    repeat: int = field(default=1, validator=number(least=0, is_whole=True))
    delay: float = field(default=0.0, validator=number(least=0))
    shuffle: float = field(default=0.0, validator=number(least=0))
    drop: float = field(default=0.0, validator=number(least=0, most=1))
    corrupt: float = field(default=0.0, validator=number(least=0, most=1))
    status: Literal["short", "long"] = "short"
    body: Literal["json", "form"] = "json"
    signed: bool = True


@define(eq=False)
class Delivery:
    """One callback: where it went, what it said, and each answer: an HTTP status, or why there was none."""

    url: str
    fields: Mapping[str, Any]
    dropped: bool = False
    answers: list[int | str] = field(factory=list)

    @property
    def delivered(self) -> bool:
        """Whether the merchant said 2xx."""
        return (
            bool(self.answers)
            and isinstance(self.answers[-1], int)
            and 200 <= self.answers[-1] < 300  # noqa: PLR2004
        )


class CallbackSender:
    """Delivers callbacks in the background."""

    def __init__(self, random: Random, style: CallbackStyle | None = None) -> None:
        """Start with nothing to deliver."""
        self.deliveries: list[Delivery] = []
        self.style = style or CallbackStyle()
        self._random = random
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, url: str, fields: Mapping[str, Any], merchant: Credentials) -> None:
        """Sign one callback and deliver it, in the background."""
        style = self.style
        signed = self._signed(fields, merchant)
        for _ in range(style.repeat):
            delivery = Delivery(url, signed, dropped=self._random.random() < style.drop)
            self.deliveries.append(delivery)
            if not delivery.dropped:
                self.start(
                    self._deliver(
                        delivery, style, style.delay + self._random.random() * style.shuffle
                    )
                )

    def _signed(self, fields: Mapping[str, Any], merchant: Credentials) -> dict[str, Any]:
        if not self.style.signed:
            return dict(fields)
        checksum = sign_callback(
            fields, merchant, status=fields["status"] if self.style.status == "long" else None
        )
        if self._random.random() < self.style.corrupt:
            checksum = checksum[:-1] + ("0" if checksum[-1] != "0" else "1")
        return {**fields, "checksum": checksum}

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the background until :meth:`aclose`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something after a while."""
        await asyncio.sleep(seconds)
        work()

    async def _deliver(self, delivery: Delivery, style: CallbackStyle, wait: float) -> None:
        import httpx  # loaded with the first callback

        content, kind = _written(delivery.fields, style.body)
        await asyncio.sleep(wait)
        async with httpx.AsyncClient(timeout=_PATIENCE, trust_env=False) as client:
            for pause in (*style.pauses, None):
                try:
                    response = await client.post(
                        delivery.url, content=content, headers={"Content-Type": kind}
                    )
                    delivery.answers.append(response.status_code)
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    delivery.answers.append(type(error).__name__)
                if delivery.delivered or pause is None:
                    return
                await asyncio.sleep(pause)

    async def idle(self) -> None:
        """Wait until nothing is left to do."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def aclose(self) -> None:
        """Give up what is left."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


def _written(fields: Mapping[str, Any], body: str) -> tuple[bytes, str]:
    if body == "json":
        return json.dumps(dict(fields)).encode(), "application/json"
    flat = {name: value for name, value in fields.items() if isinstance(value, str)}
    flat |= {"trackingid": fields["paymentId"], "desc": fields["merchantTransactionId"]}
    flat |= {
        "resultCode": fields["result"]["code"],
        "resultDescription": fields["result"]["description"],
    }
    return urlencode(flat).encode(), "application/x-www-form-urlencoded"
