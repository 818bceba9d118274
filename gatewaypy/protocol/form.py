"""Forms: percent-encoded pairs to text, by the same rule for charsets as every other body."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from gatewaypy.protocol.charset import decode_pieces, decode_text


def read_pairs(
    body: bytes, content_type: str, *, max_fields: int
) -> tuple[list[tuple[str, str]], bool]:
    """Read a form's pairs in their order.

    A name without ``=`` has an empty value. Empty pairs are dropped.

    Args:
        body: The bytes as they were received, percent-encoded or not.
        content_type: The header as received; its charset applies to the percent-encoded bytes.
        max_fields: The largest number of pairs.

    Returns:
        The pairs, and whether their charset was guessed; see `charset.decode_text`.

    Raises:
        ValueError: There are more pairs.
    """
    if b"\0" in body[:4] or body[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        body, content_type = decode_text(body, content_type)[0].encode(), ""
    parts = [part for part in body.removeprefix(b"\xef\xbb\xbf").split(b"&") if part]
    if len(parts) > max_fields:
        msg = f"a form must not have more than {max_fields} fields"
        raise ValueError(msg)
    pieces = [
        unquote_to_bytes(piece)
        for part in parts
        for piece in part.replace(b"+", b" ").partition(b"=")[::2]
    ]
    texts, is_guessed = decode_pieces(pieces, content_type)
    return list(zip(texts[::2], texts[1::2], strict=True)), is_guessed
