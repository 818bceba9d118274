"""The sandbox's callbacks: posted to ``notificationUrl``, tried again a few times, each try on record."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

_PAUSES: Final = (0.2, 1.0, 5.0)
_PATIENCE: Final = 10.0


@define(eq=False)
class Delivery:
    """One callback: where it went, what it said, and each answer: an HTTP status, or why there was none."""

    url: str
    fields: Mapping[str, Any]
    answers: list[int | str] = field(factory=list)

    @property
    def delivered(self) -> bool:
        """Whether the merchant said 2xx."""
        return bool(self.answers) and isinstance(self.answers[-1], int) and 200 <= self.answers[-1] < 300  # noqa: PLR2004


class Courier:
    """Delivers callbacks in the background."""

    def __init__(self, *, pauses: tuple[float, ...] = _PAUSES) -> None:
        """Start with nothing to deliver.

        :param pauses: seconds to wait before the second try, the third, and so on.
        """
        self.deliveries: list[Delivery] = []
        self._pauses = pauses
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, url: str, fields: Mapping[str, Any]) -> None:
        """Deliver one callback, in the background."""
        delivery = Delivery(url, fields)
        self.deliveries.append(delivery)
        self.start(self._deliver(delivery))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the background until :meth:`aclose`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something after a while."""
        await asyncio.sleep(seconds)
        work()

    async def _deliver(self, delivery: Delivery) -> None:
        import httpx

        async with httpx.AsyncClient(timeout=_PATIENCE, trust_env=False) as client:
            for pause in (*self._pauses, None):
                try:
                    response = await client.post(
                        delivery.url, content=json.dumps(delivery.fields), headers={"Content-Type": "application/json"}
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
