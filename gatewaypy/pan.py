"""Card numbers in text: the one place that decides what is one, for every text that is stored, logged or shown."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHORTEST: Final = 12
_LONGEST: Final = 19
_SHOWN_FIRST: Final = 6
_SHOWN_LAST: Final = 4
_STARS: Final = "******"
_SHORTEST_GROUP: Final = 4
_SEPARATORS: Final = r"[\s.-]{0,3}"

#: Issuer ranges, the most particular first: (lowest prefix, highest prefix, ``paymentBrand`` on the wire).
#: The names are the gateway's (protocol section 6, documented); the ranges are the card schemes' published ones.
_RANGES: Final = (
    ("34", "34", "AMEX"), ("37", "37", "AMEX"),
    ("300", "305", "DINER"), ("3095", "3095", "DINER"), ("36", "36", "DINER"), ("38", "39", "DINER"),
    ("3528", "3589", "JCB"),
    ("2221", "2720", "MC"), ("51", "55", "MC"),
    ("6011", "6011", "DISC"), ("644", "649", "DISC"), ("652150", "653149", "RUPAY"), ("65", "65", "DISC"),
    ("508500", "508999", "RUPAY"), ("606985", "607984", "RUPAY"), ("608001", "608500", "RUPAY"),
    ("62", "62", "CUP"), ("81", "81", "CUP"),
    ("50", "50", "MAESTRO"), ("56", "58", "MAESTRO"), ("60", "61", "MAESTRO"), ("63", "69", "MAESTRO"),
    ("4", "4", "VISA"),
)  # fmt: skip
#: UnionPay's own brand: its numbers need not have a valid check digit.
UNIONPAY: Final = "CUP"
_UNIONPAY_PREFIXES: Final = ("62", "81")
_UNIONPAY_LENGTHS: Final = range(16, 20)
# The lengths that nearly all of a brand's numbers have. A number that is cut out of a longer group of digits must have one of
# them: any 20 digits have a dozen parts with a valid check digit.
_USUAL_LENGTHS: Final = {"AMEX": (15,), "DINER": (14,), "CUP": (16, 17, 18, 19)}
_USUAL_LENGTH: Final = (16,)
# No scheme issues payment cards with these first digits (ISO/IEC 7812): with 0, and with 20 and 21, which begin dates. With 1
# there are an airline plan's cards of 15 digits alone.
_UNISSUED: Final = ("0", "20", "21")
_AIRLINE_PREFIX: Final = "1"
_AIRLINE_LENGTH: Final = 15

# Each quantifier is possessive or bounded, so that the work is linear in the text's length.
_RUN: Final = re.compile(rf"[0-9](?:{_SEPARATORS}+[0-9]){{{_SHORTEST - 1},}}+", re.ASCII)
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_IBAN: Final = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,4})?)(?![A-Za-z0-9])",
    re.ASCII,
)
_IBAN_REST: Final = 97
_MINUS: Final = frozenset("\u2212\u00ad")
_DOTS: Final = frozenset("\u00b7\u2022\u2024\u2219\u30fb\uff0e")
# Twice a digit, its own digits added up (ISO/IEC 7812-1).
_DOUBLED: Final = "0246813579"


class Span(NamedTuple):
    """Where a card number stands in a text: from ``start`` up to ``end``, separators included."""

    start: int
    end: int


def is_luhn_valid(digits: str) -> bool:
    """Return whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1)."""
    total = sum(int(d) for d in digits[-1::-2]) + sum(int(_DOUBLED[int(d)]) for d in digits[-2::-2])
    return total % 10 == 0


def brand_of(number: str) -> str | None:
    """Return the ``paymentBrand`` of a number's first digits, ``None`` if no issuer range has them."""
    for lowest, highest, brand in _RANGES:
        if lowest <= number[: len(lowest)] <= highest:
            return brand
    return None


def find(text: str, *, known_issuer: bool = False) -> list[Span]:
    """Return where a text has card numbers, in order of their starts; they may overlap.

    A card number has 12 to 19 digits of any script and a valid check digit. Up to three blanks, dots or dashes of any kind may
    stand between two digits. If other digits touch it (a date, another number), it must begin and end where a group of digits
    does, or have a known issuer's range and length. UnionPay's numbers need no valid check digit. A valid IBAN is not one.

    Args:
        text: Any text. The work is linear in its length.
        known_issuer: Only numbers that stand by themselves and have a known issuer's range and usual length. For ids, which
            are numbers themselves: one in ten has a valid check digit.
    """
    if len(text) < _SHORTEST:
        return []
    plain = text if text.isascii() else _NOT_ASCII.sub(_to_ascii, text)
    spans = [
        span
        for run in _RUN.finditer(plain)
        for span in _find_in_run(plain, *run.span(), known_issuer=known_issuer)
    ]
    return _without_ibans(plain, spans) if spans else spans


def contains(text: str, *, known_issuer: bool = False) -> bool:
    """Return whether a text has a card number; see `find`."""
    return bool(find(text, known_issuer=known_issuer))


def mask(text: str) -> str:
    """Replace every card number by its first six and last four digits, with stars between them (PCI DSS 3.4.1)."""
    return _masked(text, find(text))


def replace_digits(text: str, digits: str, replacement: str) -> str:
    """Replace a known number with any check digit and separators, inside other digits too."""
    plain = text if text.isascii() else _NOT_ASCII.sub(_to_ascii, text)
    parts, done = [], 0
    for found in re.finditer(_SEPARATORS.join(digits), plain, re.ASCII):
        parts += [text[done : found.start()], replacement]
        done = found.end()
    return "".join(parts) + text[done:]


def may_contain(text: str) -> bool:
    """Return whether a text may have a card number: a quick look that is never wrong about a no."""
    return not text.isascii() or _RUN.search(text) is not None


def _masked(text: str, spans: list[Span]) -> str:
    parts, done, place = [], 0, 0
    while place < len(spans):
        start, end = spans[place]
        place += 1
        # Numbers that overlap are hidden as one: which of them is meant is not known.
        while place < len(spans) and spans[place].start < end:
            end = max(end, spans[place].end)
            place += 1
        digits = [
            str(unicodedata.digit(character))
            for character in text[start:end]
            if character.isdecimal()
        ]
        parts += [text[done:start], *digits[:_SHOWN_FIRST], _STARS, *digits[-_SHOWN_LAST:]]
        done = end
    return "".join(parts) + text[done:]


@lru_cache(maxsize=256)
def _ascii_of(character: str) -> str:
    """Return the ASCII character that a digit, a blank, a dot or a dash of any script stands for, else a letter."""
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.digit(character))
    if category == "Pd" or character in _MINUS:
        return "-"
    if character in _DOTS:
        return "."
    # What has no width hides between two digits as a blank does.
    return " " if category in {"Zs", "Zl", "Zp", "Cf", "Mn"} else "x"


def _to_ascii(found: re.Match[str]) -> str:
    return _ascii_of(found[0])


def _find_in_run(plain: str, start: int, end: int, *, known_issuer: bool) -> Iterator[Span]:
    """Find the card numbers in a run of digits and separators."""
    places = [place for place in range(start, end) if plain[place].isdigit()]
    digits = "".join([plain[place] for place in places])
    count = len(digits)
    # The number of its group for each digit; a boundary is where the next digit has another one.
    jumps = [False, *(later - earlier > 1 for earlier, later in pairwise(places))]
    groups = [*accumulate(jumps, initial=0)][1:]
    is_start = [True, *jumps[1:], True]
    sums = _check_sums(digits)
    for first in range(count - _SHORTEST + 1):
        begins = is_start[first]
        usual = _usual_lengths(digits[first : first + 4])
        is_unionpay = digits.startswith(_UNIONPAY_PREFIXES, first)
        for length in range(_SHORTEST, _LONGEST + 1) if begins and not known_issuer else usual:
            last = first + length
            if last > count:
                break
            check = sums[last % 2]
            is_valid = (check[last] - check[first]) % 10 == 0
            if not is_valid and not is_unionpay:
                continue
            ends = is_start[last]
            if begins and ends:
                is_found = (
                    _may_be_issued(digits, first, length)
                    if is_valid
                    else _is_unionpay(groups, first, last)
                )
            else:
                is_cut = begins or ends or groups[first] == groups[last - 1]
                is_found = is_valid and is_cut and length in usual and not known_issuer
            if is_found:
                yield Span(places[first], places[last - 1] + 1)


def _check_sums(digits: str) -> tuple[list[int], list[int]]:
    """Add up the digits of every beginning as a check digit does: every other one doubled, for numbers of either parity."""
    one, other = (
        [
            int(digit) if place % 2 == plain else int(_DOUBLED[int(digit)])
            for place, digit in enumerate(digits)
        ]
        for plain in (1, 0)
    )
    return [*accumulate(one, initial=0)], [*accumulate(other, initial=0)]


# A text has few different beginnings, and there are no more than 10,000.
@lru_cache(maxsize=1024)
def _usual_lengths(prefix: str) -> tuple[int, ...]:
    """Return the lengths of a known issuer's numbers that begin with these four digits; none if no issuer does."""
    brand = brand_of(prefix + "99") or brand_of(prefix + "00")
    return () if brand is None else _USUAL_LENGTHS.get(brand, _USUAL_LENGTH)


def _may_be_issued(digits: str, first: int, length: int) -> bool:
    if digits.startswith(_AIRLINE_PREFIX, first):
        return length == _AIRLINE_LENGTH
    return not digits.startswith(_UNISSUED, first)


def _is_unionpay(groups: list[int], first: int, last: int) -> bool:
    """Return whether digits are as long as UnionPay's, in groups of at least four but for the last one, as on a card."""
    if last - first not in _UNIONPAY_LENGTHS:
        return False
    numbers = groups[first:last]
    return all(numbers.count(group) >= _SHORTEST_GROUP for group in range(numbers[0], numbers[-1]))


def _without_ibans(plain: str, spans: list[Span]) -> list[Span]:
    """Leave out what lies within a bank account's number, whose digits can pass a card's check."""
    kept, ibans = [], _find_ibans(plain)
    iban = next(ibans, None)
    for span in spans:
        while iban is not None and iban.end <= span.start:
            iban = next(ibans, None)
        if iban is None or span.start < iban.start or span.end > iban.end:
            kept.append(span)
    return kept


def _find_ibans(plain: str) -> Iterator[Span]:
    for found in _IBAN.finditer(plain):
        # What follows in capital letters may have been taken for the last group.
        groups = found[0].split(" ")
        for count in range(len(groups), max(len(groups) - 2, 0), -1):
            iban = "".join(groups[:count])
            if (
                int("".join([str(int(character, 36)) for character in iban[4:] + iban[:4]]))
                % _IBAN_REST
                == 1
            ):
                yield Span(found.start(), found.start() + len(" ".join(groups[:count])))
                break
