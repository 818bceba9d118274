"""Where a payer's browser must go on, and the pages that send it there."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from attrs import field, frozen

from gatewaypy.errors import InsecureConnection
from gatewaypy.platforms import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gatewaypy.secret import Secret

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="referrer" content="no-referrer"><title>{title}</title></head>
<body onload="document.forms[0].submit()">
<form action="{url}" method="{method}" accept-charset="utf-8">
{inputs}
<noscript><p>{words}</p><button type="submit">Continue</button></noscript>
</form>
</body>
</html>
"""


def _page(url: str, method: str, pairs: Iterable[tuple[str, str]], *, title: str, words: str) -> str:
    inputs = "\n".join(f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">' for name, value in pairs)
    return _PAGE.format(url=html.escape(url), method=method.lower(), inputs=inputs, title=title, words=words)


@frozen
class Redirect:
    """Where the payer's browser must go on, and with what (protocol section 7, seen).

    ``method`` is ``"GET"`` or ``"POST"``; ``parameters`` holds every name and value, empty ones too. Use :meth:`html` as the
    whole answer to the payer's browser, or send it to ``url`` yourself when ``method`` is ``"GET"`` and there are none.
    """

    url: str
    method: str = "POST"
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    target: str | None = None

    def html(self) -> str:
        """Return a page that sends the browser on by itself, with a button where scripts are off.

        Every value is escaped. A GET form keeps only its inputs, so the URL's own query goes in as inputs too.

        :raises InsecureConnection: where the gateway gave a URL that is neither https nor this machine's own.
        """
        parts = urlsplit(self.url)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise InsecureConnection("redirect.url", "https: a payer's data must not travel in the clear", "another scheme")
        pairs, url = list(self.parameters), self.url
        if self.method == "GET":
            pairs = parse_qsl(parts.query, keep_blank_values=True) + pairs
            url = parts._replace(query="").geturl()
        return _page(url, self.method, pairs, title="Continue to your bank", words="Your bank asks you to confirm this payment.")


@frozen
class HostedForm:
    """A form that takes the payer's browser to one of the gateway's own pages (protocol section 4).

    ``url`` is where it is posted, ``fields`` what it carries, the checksum as a `Secret`. Use :meth:`html` as the whole answer
    to the payer's browser, or :meth:`inputs` inside a page of your own.
    """

    url: str
    fields: tuple[tuple[str, str | Secret], ...] = field(repr=False)

    def inputs(self) -> tuple[tuple[str, str], ...]:
        """Return the names and values of the form's hidden inputs, the checksum in the clear: escape them."""
        return tuple((name, value if isinstance(value, str) else value.reveal()) for name, value in self.fields)

    def html(self) -> str:
        """Return a page that sends the browser on by itself, with a button where scripts are off; every value is escaped."""
        return _page(self.url, "POST", self.inputs(), title="Continue to the payment page", words="Continue to the payment page.")
