"""The sandbox's callbacks: posted to ``notificationUrl``, with retries.

`CallbackStyle` can repeat, delay, reorder, drop or corrupt them.
"""

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

_TIMEOUT: Final = 10.0


@define
class CallbackStyle:
    """How the sandbox sends its callbacks.

    Args:
        pauses: Delays in seconds before the second attempt, the third, and so on. An attempt
            succeeds with a 2xx.
        repeat: How often each callback is sent, as if the gateway had not received the answer.
        delay: Delay in seconds before the first attempt.
        shuffle: The largest random addition to ``delay``, in seconds. It changes the order of
            callbacks.
        drop: The probability that a callback is not sent, from 0 to 1.
        corrupt: The probability that a callback has a wrong signature, from 0 to 1.
        status: The status that is signed.
        body: ``"json"`` is nested JSON. ``"form"`` is a flat form with the names of the browser
            return.
        signed: If False, the checksum is omitted.

    Raises:
        ConfigurationError: A number is out of its range.

    Example:
        While the sandbox runs: ``sandbox.callback_sender.style.repeat = 2``
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
    """One callback with its URL, its fields and its answers.

    An answer is an HTTP status, or the name of the error that prevented it.
    """

    url: str
    fields: Mapping[str, Any]
    dropped: bool = False
    answers: list[int | str] = field(factory=list)

    @property
    def delivered(self) -> bool:
        """Whether the last answer was a 2xx."""
        return (
            bool(self.answers)
            and isinstance(self.answers[-1], int)
            and 200 <= self.answers[-1] < 300  # noqa: PLR2004
        )


class CallbackSender:
    """Delivers callbacks in the background.

    Args:
        random: Decides on order, drops and wrong signatures.
        style: How callbacks are sent.
    """

    def __init__(self, random: Random, style: CallbackStyle | None = None) -> None:
        """Start without callbacks."""
        self.deliveries: list[Delivery] = []
        self.style = style or CallbackStyle()
        self._random = random
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, url: str, fields: Mapping[str, Any], merchant: Credentials) -> None:
        """Sign a callback, and deliver it in the background.

        Args:
            url: The URL to post it to.
            fields: The callback's fields, without a signature.
            merchant: The account whose key signs it.
        """
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
        """Run a coroutine in the background. `aclose` cancels it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Call a function after a delay in seconds."""
        await asyncio.sleep(seconds)
        work()

    async def _deliver(self, delivery: Delivery, style: CallbackStyle, wait: float) -> None:
        import httpx  # lazy: only callbacks need it

        content, kind = _written(delivery.fields, style.body)
        await asyncio.sleep(wait)
        async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as client:
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
        """Wait until all background work is done."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def aclose(self) -> None:
        """Cancel the remaining background work."""
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
