"""A payer's browser without scripts: it shows a page, fills its form, and presses a button."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import ClassVar, Self

import httpx


class Form(HTMLParser):
    """Parses the only form of a page, or its only link, which is a GET without fields."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.method = "get"
        self.fields: dict[str, str] = {}
        self.visible: list[str] = []
        self.buttons: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a":
            assert self.action is None, "one way on a page"
            self.action = given["href"]
        elif tag == "form":
            assert self.action is None, "one way on a page"
            self.action, self.method = given["action"], given.get("method", "get").lower()
        elif tag == "input" and given.get("type") == "hidden":
            self.fields[given["name"]] = given["value"]
        elif tag == "input":
            self.visible.append(given["name"])
        elif tag == "button" and "value" in given:
            self.buttons.append(given["value"])


class PayerBrowser:
    """Follows pages; it sends only what is on the page or filled in."""

    CARD: ClassVar[dict[str, str]] = {
        "number": "4000 0000 0000 0051",
        "month": "7",
        "year": str(datetime.now(UTC).year + 5),
        "cvv": "745",
        "holder": "Ada Lovelace",
    }
    CARD_3D: ClassVar[dict[str, str]] = CARD | {"number": "4000 0000 0000 0002", "cvv": "237"}

    def __init__(self) -> None:
        self._http = httpx.AsyncClient(trust_env=False)
        self.url = ""
        self.page = ""
        self.status = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    @property
    def form(self) -> Form:
        return Form(self.page)

    def show(self, page: str) -> None:
        """Show a page that a shop returned."""
        self.page = page

    async def visit(self, url: str) -> None:
        """Follow a link."""
        self._see(await self._http.get(url))

    async def submit(self, **typed: str) -> None:
        """Submit the form of the page with the filled fields and the pressed button."""
        form = self.form
        assert form.action is not None, self.page
        assert set(typed) <= {*form.visible, *(["answer"] if form.buttons else [])}, typed
        url = httpx.URL(self.url).join(form.action) if self.url else httpx.URL(form.action)
        fields = form.fields | typed
        if form.method == "post":
            self._see(await self._http.post(url, data=fields))
        else:
            self._see(await self._http.get(url.copy_merge_params(fields) if fields else url))

    async def confirm(self, page: str, answer: str = "approve") -> None:
        """Follow the page of a redirect to the bank or wallet, and answer there."""
        self.url = ""
        self.show(page)
        await self.submit()
        await self.submit(answer=answer)

    def _see(self, response: httpx.Response) -> None:
        self.url, self.page, self.status = str(response.url), response.text, response.status_code
