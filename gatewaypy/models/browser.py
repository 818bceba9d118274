"""The payer's browser for 3-D Secure 2, from the request's headers and a script on the page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Self

from attrs import field, frozen

from gatewaypy.errors import InvalidRequest
from gatewaypy.secret import shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Put this script into the page whose form starts the payment. It adds a hidden input named
#: ``browser_info`` to every form of the page, and sends nothing itself. Pass the input's text to
#: `BrowserInfo.from_request`.
BROWSER_SCRIPT: Final = """\
(function () {
  function whole(value, lowest, highest) {
    return Math.min(Math.max(Math.round(value) || 0, lowest), highest);
  }
  var screen = window.screen || {};
  var tag = /^[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{2,8}){0,2}(?![A-Za-z0-9])/;
  var language = tag.exec(navigator.language || "");
  var values = [
    whole(screen.width, 0, 99999), whole(screen.height, 0, 99999), whole(screen.colorDepth, 0, 99),
    whole(new Date().getTimezoneOffset(), -999, 999),
    typeof navigator.javaEnabled === "function" && navigator.javaEnabled() ? 1 : 0,
    language ? language[0] : ""
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

# Older versions of the script, in cached pages, write fractions and long languages.
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
# The values of browserColorDepth in EMVCo's 3-D Secure, greatest first.
_COLOR_DEPTHS: Final = (48, 32, 24, 16, 15, 8, 4, 1)
_NO_DEPTH: Final = 24
# Infinity and NaN cannot be rounded.
_ANY_NUMBER: Final = 1e9


def _header(text: str) -> str:
    return _CONTROL.sub("", text)[:_LONGEST_HEADER]


def _language(text: str | None) -> str:
    found = _LANGUAGE.match(text or "")
    return found[0] if found else _NO_LANGUAGE


def _whole(name: str, value: float, lowest: int, highest: int) -> int:
    """Round a number and check its bounds."""
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
    """Return the greatest listed depth that is not above this one; 24 for 0."""
    depth = _whole("color_depth", value, 0, 100)
    return next((known for known in _COLOR_DEPTHS if known <= depth), _NO_DEPTH)


@frozen(kw_only=True)
class BrowserInfo:
    """The payer's browser for 3-D Secure 2.

    Each value is converted to one that EMVCo's 3-D Secure allows.

    Args:
        user_agent: Control characters are removed; cut to 2048 characters.
        accept_header: As ``user_agent``.
        language: BCP 47 tag, reduced to language, script and region. ``"en"`` if there is none.
        timezone_offset: Minutes as ``Date.getTimezoneOffset()`` returns, -1440 to 1440, rounded.
        color_depth: Bits, 0 to 100, reduced to 1, 4, 8, 15, 16, 24, 32 or 48. 0 becomes 24.
        screen_height: Pixels, 0 to 999999, rounded.
        screen_width: As ``screen_height``.
        java_enabled: ``navigator.javaEnabled()``.

    Raises:
        InvalidRequest: A number is out of bounds, or not a number.

    Protocol section 6. Seen.
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
        """Combine the payer's request and the values of `BROWSER_SCRIPT`.

        Args:
            headers: The headers of the request that started the payment, in any case, such as
                ``request.headers`` of Starlette, aiohttp and Django.
            browser_info: The text of the hidden input ``browser_info``.

        Returns:
            The browser.

        Raises:
            InvalidRequest: The text is not from the script; a browser can send any text. Pay
                without ``browser=`` in this case.
        """
        lowered = {
            name.lower(): value for name, value in headers.items() if name.lower() in _WANTED
        }
        # The traceback of an error keeps this frame: it must not have the payer's cookies.
        del headers
        found = _SCRIPT_TEXT.fullmatch(browser_info) if isinstance(browser_info, str) else None
        if found is None:
            raise InvalidRequest(
                "browser_info",
                "must be the text that BROWSER_SCRIPT writes",
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
