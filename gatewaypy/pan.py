"""Detection of card numbers in every text that is stored, logged or shown."""

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

#: Issuer ranges, the narrowest first: lowest prefix, highest prefix, ``paymentBrand``. The names
#: are the gateway's (protocol section 6, documented), the ranges those that the schemes publish.
_RANGES: Final = (
    ("34", "34", "AMEX"), ("37", "37", "AMEX"),
    ("300", "305", "DINER"), ("3095", "3095", "DINER"), ("36", "36", "DINER"),
    ("38", "39", "DINER"),
    ("3528", "3589", "JCB"),
    ("2221", "2720", "MC"), ("51", "55", "MC"),
    ("6011", "6011", "DISC"), ("644", "649", "DISC"), ("652150", "653149", "RUPAY"),
    ("65", "65", "DISC"),
    ("508500", "508999", "RUPAY"), ("606985", "607984", "RUPAY"),
    ("608001", "608500", "RUPAY"),
    ("62", "62", "CUP"), ("81", "81", "CUP"),
    ("50", "50", "MAESTRO"), ("56", "58", "MAESTRO"), ("60", "61", "MAESTRO"),
    ("63", "69", "MAESTRO"),
    ("4", "4", "VISA"),
)  # fmt: skip
#: UnionPay's own brand: its numbers need not have a valid check digit.
UNIONPAY: Final = "CUP"
_UNIONPAY_PREFIXES: Final = ("62", "81")
_UNIONPAY_LENGTHS: Final = range(16, 20)
# The lengths of nearly all numbers of a brand. A number inside a longer group of digits must have
# one of them, because any 20 digits contain a dozen parts with a valid check digit.
_USUAL_LENGTHS: Final = {"AMEX": (15,), "DINER": (14,), "CUP": (16, 17, 18, 19)}
_USUAL_LENGTH: Final = (16,)
# No scheme issues payment cards with these first digits (ISO/IEC 7812); 20 and 21 begin dates. With
# 1 there are only the 15-digit cards of an airline plan.
_UNISSUED: Final = ("0", "20", "21")
_AIRLINE_PREFIX: Final = "1"
_AIRLINE_LENGTH: Final = 15

# Each quantifier is possessive or bounded, so that the work is linear in the text's length.
_RUN: Final = re.compile(rf"[0-9](?:{_SEPARATORS}+[0-9]){{{_SHORTEST - 1},}}+", re.ASCII)
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_IBAN: Final = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}"
    r"(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,4})?)(?![A-Za-z0-9])",
    re.ASCII,
)
_IBAN_REST: Final = 97
_MINUS: Final = frozenset("\u2212\u00ad")
_DOTS: Final = frozenset("\u00b7\u2022\u2024\u2219\u30fb\uff0e")
# Digit sums of the doubled digits (ISO/IEC 7812-1).
_DOUBLED: Final = "0246813579"


class Span(NamedTuple):
    """The position of a card number in a text, separators included; ``end`` is exclusive."""

    start: int
    end: int


def is_luhn_valid(digits: str) -> bool:
    """Return whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1)."""
    total = sum(int(d) for d in digits[-1::-2]) + sum(int(_DOUBLED[int(d)]) for d in digits[-2::-2])
    return total % 10 == 0


def brand_of(number: str) -> str | None:
    """Return the ``paymentBrand`` of a number, or None if no issuer range matches."""
    for lowest, highest, brand in _RANGES:
        if lowest <= number[: len(lowest)] <= highest:
            return brand
    return None


def find(text: str, *, known_issuer: bool = False) -> list[Span]:
    """Find the card numbers in a text.

    A card number has 12 to 19 digits of any script and a valid check digit. Between two digits
    there can be up to three spaces, dots or dashes of any kind. If other digits are adjacent (a
    date, another number), it must begin and end at the borders of groups of digits, or have a
    known issuer's range and length. Numbers of UnionPay need no valid check digit. A valid IBAN
    is not a card number.

    Args:
        text: Any text. The work is linear in its length.
        known_issuer: Find only separate numbers with a known issuer's range and usual length. For
            ids, which are numbers too: one in ten has a valid check digit.

    Returns:
        The positions, ordered by start. They may overlap.
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
    """Mask each card number except its first six and last four digits (PCI DSS 3.4.1)."""
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
    """Return False if a text certainly has no card number; a quick check."""
    return not text.isascii() or _RUN.search(text) is not None


def _masked(text: str, spans: list[Span]) -> str:
    parts, done, place = [], 0, 0
    while place < len(spans):
        start, end = spans[place]
        place += 1
        # Overlapping numbers are masked as one, because only one of them is the card's.
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
    """Return the ASCII digit, space, dot or dash for one of any script; else a letter."""
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.digit(character))
    if category == "Pd" or character in _MINUS:
        return "-"
    if character in _DOTS:
        return "."
    # Characters without a width count as separators.
    return " " if category in {"Zs", "Zl", "Zp", "Cf", "Mn"} else "x"


def _to_ascii(found: re.Match[str]) -> str:
    return _ascii_of(found[0])


def _find_in_run(plain: str, start: int, end: int, *, known_issuer: bool) -> Iterator[Span]:
    """Find the card numbers in a run of digits and separators."""
    places = [place for place in range(start, end) if plain[place].isdigit()]
    digits = "".join([plain[place] for place in places])
    count = len(digits)
    # For each digit the number of its group.
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
    """Return the Luhn sums of all prefixes, for numbers of even and of odd length."""
    even, odd = (
        [
            int(digit) if place % 2 == plain else int(_DOUBLED[int(digit)])
            for place, digit in enumerate(digits)
        ]
        for plain in (1, 0)
    )
    return [*accumulate(even, initial=0)], [*accumulate(odd, initial=0)]


# There are at most 10,000 prefixes, and few in one text.
@lru_cache(maxsize=1024)
def _usual_lengths(prefix: str) -> tuple[int, ...]:
    """Return the usual lengths of the issuer's numbers with these first four digits."""
    brand = brand_of(prefix + "99") or brand_of(prefix + "00")
    return () if brand is None else _USUAL_LENGTHS.get(brand, _USUAL_LENGTH)


def _may_be_issued(digits: str, first: int, length: int) -> bool:
    if digits.startswith(_AIRLINE_PREFIX, first):
        return length == _AIRLINE_LENGTH
    return not digits.startswith(_UNISSUED, first)


def _is_unionpay(groups: list[int], first: int, last: int) -> bool:
    """Return whether digits have UnionPay's length, in groups of at least four except the last."""
    if last - first not in _UNIONPAY_LENGTHS:
        return False
    numbers = groups[first:last]
    return all(numbers.count(group) >= _SHORTEST_GROUP for group in range(numbers[0], numbers[-1]))


def _without_ibans(plain: str, spans: list[Span]) -> list[Span]:
    """Remove spans inside an IBAN, whose digits can have a valid check digit."""
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
        # The last group may be a word in capital letters.
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
