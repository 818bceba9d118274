"""Where a payer's browser must go on, and the pages that send it there."""

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
body { margin: 2rem auto; max-width: 24rem; padding: 0 1rem; font: 1.125rem/1.5 system-ui, sans-serif;
  text-align: center; }
a, button { display: block; box-sizing: border-box; width: 100%; padding: .75rem; border: 0;
  border-radius: .5rem; background: #0a7a4b; color: #fff; font: inherit; text-decoration: none; cursor: pointer; }
button:disabled { background: #667; }"""

# The form's own `submit` can be hidden by an input of that name. A second press while the next page
# loads would post a second time, so the button is off for 5 s. It is never off for good.
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
    """Return whether a browser may be sent there: https, or http to this machine."""
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
    """Return a page that sends a browser on by itself, and by a button wherever it does not.

    A POST is a form that a script submits. A GET is a link and a refresh, because a GET form replaces
    the URL's own query. Every value is escaped.

    :param nonce: the nonce of the page's Content-Security-Policy, for its script and its style.
    :raises InvalidRequest: where ``nonce`` is not a nonce.
    """
    attribute = "" if nonce is None else f' nonce="{_checked_nonce(nonce)}"'
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
        refresh=refresh, title=title, nonce=attribute, style=_STYLE, words=words, body=body
    )


def _checked_nonce(nonce: str) -> str:
    # A web framework may hand over an object that becomes the text when it is first used.
    text = str(nonce) if isinstance(nonce, str) else ""
    if not _NONCE.fullmatch(text):
        rule = "must be a Content-Security-Policy nonce: letters, digits, '+', '/', '-', '_'"
        raise InvalidRequest("nonce", rule, shape_of(text if isinstance(nonce, str) else nonce))
    return text


def _with_query(url: str, pairs: Sequence[tuple[str, str]]) -> str:
    """Append pairs to a URL's query, which stays as it is, before its fragment."""
    if not pairs:
        return url
    address, mark, fragment = url.partition("#")
    joint = "?" if "?" not in address else "" if address.endswith(("?", "&")) else "&"
    return f"{address}{joint}{urlencode(pairs)}{mark}{fragment}"


def _stripped(url: str) -> str:
    return url.strip()


def named_pairs(pairs: Pairs) -> tuple[tuple[str, str], ...]:
    """Return the pairs that have a name. A browser submits no other."""
    return tuple((name, value) for name, value in pairs if name.strip())


@frozen
class Redirect:
    """Where the payer's browser must go on, and with what (protocol section 7, seen).

    ``url`` has no blanks or line breaks at its ends. ``method`` is ``"GET"`` or ``"POST"``.
    ``parameters`` holds every name and value, empty values too; a pair without a name is left out, as a
    browser leaves it out. Use :meth:`html` as the whole answer to the payer's browser. You can also send
    it to ``url`` yourself if ``method`` is ``"GET"`` and there are no parameters.
    """

    url: str = field(converter=_stripped)
    method: str = "POST"
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False, converter=named_pairs)
    target: str | None = None

    def html(self, nonce: str | None = None) -> str:
        """Return a page that sends the browser on by itself, and by a button wherever it does not.

        A POST needs its script to go on by itself. The button stands outside of ``<noscript>``: it works
        without scripts, under a Content-Security-Policy and after an error. A GET needs no script; its URL
        is followed as the gateway wrote it, with the parameters at the end of its query.

        :param nonce: the nonce of the page's Content-Security-Policy (letters, digits, ``+/-_``), for the
            page's one script and one style. ``form-action`` must allow ``url``.
        :raises InsecureConnection: where ``url`` is neither https nor this machine's own.
        :raises InvalidRequest: where ``nonce`` is not a nonce.
        """
        if not is_safe(self.url):
            raise InsecureConnection(
                "redirect.url", "https: a payer's data must not travel in the clear", "another URL"
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
    """A form that takes the payer's browser to one of the gateway's own pages (protocol section 4).

    ``url`` is where it is posted, ``fields`` what it carries, the checksum as a `Secret`. Use :meth:`html` as the whole answer
    to the payer's browser, or :meth:`inputs` inside a page of your own.
    """

    url: str
    fields: tuple[tuple[str, str | Secret], ...] = field(repr=False)

    def inputs(self) -> tuple[tuple[str, str], ...]:
        """Return the names and values of the form's hidden inputs, the checksum in the clear: escape them."""
        return tuple(
            (name, value if isinstance(value, str) else value.reveal())
            for name, value in self.fields
        )

    def html(self, nonce: str | None = None) -> str:
        """Return a page that posts the form by itself, and by a button wherever its script does not run.

        :param nonce: as in :meth:`Redirect.html`.
        :raises InvalidRequest: where ``nonce`` is not a nonce.
        """
        title = "Continue to the payment page"
        return redirect_page(
            self.url, "POST", self.inputs(), title=title, words=f"{title}.", nonce=nonce
        )
