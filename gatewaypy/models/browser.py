"""The payer's browser, as 3-D Secure 2 wants to know it: from the request's headers and a small script on the checkout page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Self

from attrs import field, frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.secret import shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Put this into the page whose form starts the payment. It fills a hidden input named ``browser_info`` in every form of that
#: page, and sends nothing anywhere itself; hand the input's text to :meth:`BrowserInfo.from_request`.
BROWSER_SCRIPT: Final = """\
(function () {
  function whole(value, lowest, highest) {
    return Math.min(Math.max(Math.round(value) || 0, lowest), highest);
  }
  var screen = window.screen || {};
  var language = /^[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{2,8}){0,2}(?![A-Za-z0-9])/.exec(navigator.language || "");
  var values = [
    whole(screen.width, 0, 99999), whole(screen.height, 0, 99999), whole(screen.colorDepth, 0, 99),
    whole(new Date().getTimezoneOffset(), -999, 999),
    typeof navigator.javaEnabled === "function" && navigator.javaEnabled() ? 1 : 0, language ? language[0] : ""
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

# Older copies of the script, in pages that browsers keep, wrote fractions and long languages.
_FRACTION: Final = r"(?:\.[0-9]{1,20})?"
_SIZE: Final = rf"([0-9]{{1,5}}{_FRACTION})"
_DEPTH: Final = rf"([0-9]{{1,2}}{_FRACTION})"
_OFFSET: Final = rf"(-?[0-9]{{1,3}}{_FRACTION})"
_TAG: Final = r"((?:[A-Za-z0-9]{1,8}(?:-[A-Za-z0-9]{1,8}){0,27})?)"
_SCRIPT_TEXT: Final = re.compile(
    rf"{_SIZE}\|{_SIZE}\|{_DEPTH}\|{_OFFSET}\|([01]?)\|{_TAG}", re.ASCII
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_WANTED: Final = frozenset({"user-agent", "accept", "accept-language"})
_LONGEST_HEADER: Final = 2048
# A language, and at most two subtags for its script and its region, of BCP 47.
_LANGUAGE: Final = re.compile(
    r"[A-Za-z0-9]{1,8}(?:-[A-Za-z0-9]{2,8}){0,2}(?![A-Za-z0-9])", re.ASCII
)
_NO_LANGUAGE: Final = "en"
# What EMVCo's 3-D Secure takes for browserColorDepth, greatest first.
_COLOR_DEPTHS: Final = (48, 32, 24, 16, 15, 8, 4, 1)
_NO_DEPTH: Final = 24
# An infinity, and what is not a number, cannot be rounded.
_ANY_NUMBER: Final = 1e9


def _header(text: str) -> str:
    return _CONTROL.sub("", text)[:_LONGEST_HEADER]


def _language(text: str | None) -> str:
    found = _LANGUAGE.match(text or "")
    return found[0] if found else _NO_LANGUAGE


def _whole(name: str, value: float, lowest: int, highest: int) -> int:
    """Round a number. One that is out of bounds, and what is not a number, is refused."""
    is_number = (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _ANY_NUMBER
    )
    number = round(value) if is_number else None
    if number is None or not lowest <= number <= highest:
        raise InvalidRequest(
            name,
            f"must be a number from {lowest} to {highest}",
            f"a value of type {type(value).__name__}",
        )
    return number


def _offset(value: float) -> int:
    return _whole("timezone_offset", value, -1440, 1440)


def _height(value: float) -> int:
    return _whole("screen_height", value, 0, 999_999)


def _width(value: float) -> int:
    return _whole("screen_width", value, 0, 999_999)


def _color_depth(value: float) -> int:
    """Return the depth itself, or the next lower one that EMVCo lists; 24 for 0."""
    depth = _whole("color_depth", value, 0, 100)
    return next((known for known in _COLOR_DEPTHS if known <= depth), _NO_DEPTH)


@frozen(kw_only=True)
class BrowserInfo:
    """What 3-D Secure 2 wants to know of the payer's browser (protocol section 6, seen).

    Every value becomes one that EMVCo's 3-D Secure takes, however the object was made:

    - ``user_agent`` and ``accept_header``: without control characters, at most 2048 characters;
    - ``language``: the language, script and region of a BCP 47 tag; ``"en"`` if there is none;
    - ``timezone_offset``: minutes as ``Date.getTimezoneOffset()`` gives them, rounded, -1440 to 1440;
    - ``color_depth``: bits, 0 to 100; the listed depth (1, 4, 8, 15, 16, 24, 32, 48) that is next below, 24 for 0;
    - ``screen_height`` and ``screen_width``: pixels, rounded, 0 to 999999.

    :raises InvalidRequest: where a number is out of its bounds, or is not a number.
    """

    user_agent: str = field(converter=_header)
    accept_header: str = field(converter=_header)
    language: str = field(converter=_language)
    timezone_offset: int = field(converter=_offset)
    color_depth: int = field(converter=_color_depth)
    screen_height: int = field(converter=_height)
    screen_width: int = field(converter=_width)
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
        lowered = {
            name.lower(): value for name, value in headers.items() if name.lower() in _WANTED
        }
        # A frame that raises stays in the traceback: the payer's cookies must not.
        del headers
        found = _SCRIPT_TEXT.fullmatch(browser_info) if isinstance(browser_info, str) else None
        if found is None:
            raise InvalidRequest(
                "browser_info",
                "the text that BROWSER_SCRIPT put into the form",
                shape_of(browser_info),
            )
        accepted = lowered.get("accept-language", "").split(",")[0].split(";")[0].strip().strip("*")
        return cls(
            user_agent=lowered.get("user-agent", ""),
            accept_header=lowered.get("accept", "*/*"),
            language=found[6] or _header(accepted),
            timezone_offset=float(found[4]),
            color_depth=float(found[3]),
            screen_height=float(found[2]),
            screen_width=float(found[1]),
            java_enabled=found[5] == "1",
        )
