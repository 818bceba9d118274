"""The base class of a gateway's resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatewaypy.pipeline.pipeline import Pipeline
    from gatewaypy.protocol.requests import Request


class Resource:
    """A group of operations of a `Gateway`.

    Args:
        get_pipeline: Returns the gateway's pipeline. Raises `ConfigurationError` if the gateway
            is not open on this event loop.
    """

    def __init__(self, get_pipeline: Callable[[], Pipeline]) -> None:
        self._get_pipeline = get_pipeline

    async def _run(self, request: Request) -> Any:  # noqa: ANN401 - the operation's result
        return await self._get_pipeline().run(request)
