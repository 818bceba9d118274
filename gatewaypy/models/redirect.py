"""Redirects of the payer's browser, and the pages that perform them."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

from attrs import field, frozen

from gatewaypy.errors import InsecureConnection, InvalidRequest
from gatewaypy.platforms import is_loopback
from gatewaypy.secret import shape_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gatewaypy.secret import Secret

    Pairs = Iterable[tuple[str, str]]

_STYLE: Final = """\
body { margin: 2rem auto; max-width: 24rem; padding: 0 1rem; text-align: center;
  font: 1.125rem/1.5 system-ui, sans-serif; }
a, button { display: block; box-sizing: border-box; width: 100%; padding: .75rem; border: 0;
  border-radius: .5rem; background: #0a7a4b; color: #fff; font: inherit; text-decoration: none;
  cursor: pointer; }
button:disabled { background: #667; }"""

# An input named `submit` can hide the form's own method. While the next page loads, a second click
# would post again, so the button is disabled for 5 s, and enabled again after that.
_SCRIPT: Final = """\
(function () {
  var button = document.querySelector("button");
  HTMLFormElement.prototype.submit.call(document.forms[0]);
  button.disabled = true;
  setTimeout(function () { button.disabled = false; }, 5000);
})();"""

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">{refresh}
<title>{title}</title>
<style{nonce}>
{style}
</style>
</head>
<body>
<p>{words}</p>
{body}
</body>
</html>
"""
_FORM: Final = """\
<form action="{url}" method="post" accept-charset="utf-8">
{inputs}
<button type="submit">Continue</button>
</form>
<script{nonce}>
{script}
</script>"""

# The grammar of a nonce in a Content-Security-Policy (CSP level 3, section 2.3.1).
_NONCE: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}", re.ASCII)


def is_safe(url: str) -> bool:
    """Return whether a URL is https, or http to a loopback address."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(
        url.isprintable()
        and host
        and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
    )


def redirect_page(
    url: str, method: str, pairs: Pairs, *, title: str, words: str, nonce: str | None = None
) -> str:
    """Return a page that redirects the browser.

    For a POST, a script submits a form, which also has a button. For a GET, the page has a link and
    a refresh, because a GET form would replace the URL's query. Every value is escaped.

    Args:
        url: Target.
        method: ``"GET"`` or ``"POST"``.
        pairs: Names and values to send.
        title: Title of the page.
        words: Text of the page.
        nonce: Nonce of the page's Content-Security-Policy, for its script and style.

    Raises:
        InvalidRequest: ``nonce`` does not have the format of a nonce.
    """
    attribute = "" if nonce is None else f' nonce="{_validate_nonce(nonce)}"'
    refresh = ""
    if method == "GET":
        target = html.escape(_with_query(url, list(pairs)))
        refresh = f'\n<meta http-equiv="refresh" content="0;url={target}">'
        body = f'<a href="{target}">Continue</a>'
    else:
        inputs = "\n".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in pairs
        )
        body = _FORM.format(url=html.escape(url), inputs=inputs, nonce=attribute, script=_SCRIPT)
    return _PAGE.format(
        refresh=refresh,
        title=html.escape(title),
        nonce=attribute,
        style=_STYLE,
        words=html.escape(words),
        body=body,
    )


def _validate_nonce(nonce: str) -> str:
    # Some web frameworks pass an object that becomes a string when it is first used.
    text = str(nonce) if isinstance(nonce, str) else ""
    if not _NONCE.fullmatch(text):
        rule = (
            "must be a Content-Security-Policy nonce: letters, digits, '+', '/', '-', '_', and at"
            " most two '=' at its end"
        )
        raise InvalidRequest("nonce", rule, shape_of(text if isinstance(nonce, str) else nonce))
    return text


def _with_query(url: str, pairs: Sequence[tuple[str, str]]) -> str:
    """Append pairs to a URL's query, before its fragment."""
    if not pairs:
        return url
    address, mark, fragment = url.partition("#")
    joint = "?" if "?" not in address else "" if address.endswith(("?", "&")) else "&"
    return f"{address}{joint}{urlencode(pairs)}{mark}{fragment}"


def _stripped(url: str) -> str:
    return url.strip()


def named_pairs(pairs: Pairs) -> tuple[tuple[str, str], ...]:
    """Return the pairs that have a name. A browser does not submit the others."""
    return tuple((name, value) for name, value in pairs if name.strip())


@frozen
class Redirect:
    """Where the payer's browser must be sent.

    Send the payer's browser the page that `html` returns. If ``method`` is ``"GET"`` and there are no
    parameters, an HTTP redirect to ``url`` works too.

    Attributes:
        url: Target, without spaces or line breaks at its ends.
        method: ``"GET"`` or ``"POST"``.
        parameters: Names and values to send. Empty values are included. Pairs without a name are
            omitted, as in a browser.
        target: The gateway's target, as sent.

    Protocol section 7. Seen.
    """

    url: str = field(converter=_stripped)
    method: str = "POST"
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False, converter=named_pairs)
    target: str | None = None

    def html(self, nonce: str | None = None) -> str:
        """Return a page that redirects the browser.

        A script submits a POST. The button is not inside ``<noscript>``, so it also works if the
        script is disabled, blocked or fails. A GET needs no script; the parameters are appended to
        the query of the gateway's URL.

        Args:
            nonce: Nonce of the page's Content-Security-Policy, for its script and style: letters,
                digits, ``+/-_``, at most two ``=`` at its end. The policy's ``form-action`` must
                allow ``url``.

        Returns:
            The HTML page.

        Raises:
            InsecureConnection: ``url`` is neither https nor a loopback address.
            InvalidRequest: ``nonce`` does not have the format of a nonce.
        """
        if not is_safe(self.url):
            raise InsecureConnection(
                "redirect.url", "must use https, because the payer's data must be encrypted"
            )
        words = "Your bank asks you to confirm this payment."
        return redirect_page(
            self.url,
            self.method,
            self.parameters,
            title="Continue to your bank",
            words=words,
            nonce=nonce,
        )


@frozen
class HostedForm:
    """A form that sends the payer's browser to one of the gateway's hosted pages.

    Send the payer's browser the page that `html` returns, or use `inputs` in a page of your own.

    Attributes:
        url: Where the form is posted.
        fields: Names and values, with the checksum as a `Secret`.

    Protocol section 4.
    """

    url: str
    fields: tuple[tuple[str, str | Secret], ...] = field(repr=False)

    def inputs(self) -> tuple[tuple[str, str], ...]:
        """Return the names and values of the hidden inputs.

        The checksum is plain text. The caller must escape the values.
        """
        return tuple(
            (name, value if isinstance(value, str) else value.reveal())
            for name, value in self.fields
        )

    def html(self, nonce: str | None = None) -> str:
        """Return a page that posts the form with a script. It also has a button.

        Args:
            nonce: As in `Redirect.html`.

        Returns:
            The HTML page.

        Raises:
            InvalidRequest: ``nonce`` does not have the format of a nonce.
        """
        title = "Continue to the payment page"
        return redirect_page(
            self.url, "POST", self.inputs(), title=title, words=f"{title}.", nonce=nonce
        )
