"""The payer's browser, as 3-D Secure 2 wants to know it: from the request's headers and a small script on the checkout page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Self

from attrs import frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.secret import shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Put this into the page whose form starts the payment. It fills a hidden input named ``browser_info`` in every form of that
#: page, and sends nothing anywhere itself; hand the input's text to :meth:`BrowserInfo.from_request`.
BROWSER_SCRIPT: Final = """\
(function () {
  var screen = window.screen || {};
  var values = [
    screen.width || 0, screen.height || 0, screen.colorDepth || 24, new Date().getTimezoneOffset(),
    typeof navigator.javaEnabled === "function" && navigator.javaEnabled() ? 1 : 0, navigator.language || ""
  ].join("|");
  Array.prototype.forEach.call(document.forms, function (form) {
    var input = document.createElement("input");
    input.type = "hidden";
    input.name = "browser_info";
    input.value = values;
    form.appendChild(input);
  });
})();
"""

_SCRIPT_TEXT: Final = re.compile(
    r"([0-9]{1,5})\|([0-9]{1,5})\|([0-9]{1,2})\|(-?[0-9]{1,4})\|([01])\|([A-Za-z0-9-]{0,35})", re.ASCII
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_WANTED: Final = frozenset({"user-agent", "accept", "accept-language"})
_LONGEST_HEADER: Final = 2048


@frozen(kw_only=True)
class BrowserInfo:
    """What 3-D Secure 2 wants to know of the payer's browser (protocol section 6, seen).

    ``timezone_offset`` is in minutes as ``Date.getTimezoneOffset()`` gives it, the sizes in pixels, ``color_depth`` in bits.
    """

    user_agent: str
    accept_header: str
    language: str
    timezone_offset: int
    color_depth: int
    screen_height: int
    screen_width: int
    java_enabled: bool = False

    @classmethod
    def from_request(cls, headers: Mapping[str, str], browser_info: str) -> Self:
        """Put the payer's own request and what :data:`BROWSER_SCRIPT` found together.

        :param headers: the headers of the request that started the payment, in any case; starlette's, aiohttp's and Django's
            ``request.headers`` will do.
        :param browser_info: the text of the hidden input ``browser_info``.
        :raises InvalidRequest: where that text is not what the script writes. A payer's browser can send anything: take it
            for a payment without ``browser=`` then.
        """
        lowered = {name.lower(): value for name, value in headers.items() if name.lower() in _WANTED}
        # A frame that raises stays in the traceback: the payer's cookies must not.
        del headers
        found = _SCRIPT_TEXT.fullmatch(browser_info) if isinstance(browser_info, str) else None
        if found is None:
            raise InvalidRequest("browser_info", "the text that BROWSER_SCRIPT put into the form", shape_of(browser_info))
        accepted = lowered.get("accept-language", "").split(",")[0].split(";")[0].strip().strip("*")
        return cls(
            user_agent=_header(lowered.get("user-agent", "")),
            accept_header=_header(lowered.get("accept", "*/*")),
            language=found[6] or _header(accepted) or "en",
            timezone_offset=int(found[4]),
            color_depth=int(found[3]),
            screen_height=int(found[2]),
            screen_width=int(found[1]),
            java_enabled=found[5] == "1",
        )


def _header(text: str) -> str:
    return _CONTROL.sub("", text)[:_LONGEST_HEADER]
