"""Secrets: what they show and how they compare."""

from __future__ import annotations

import copy
import pickle

import pytest

from gatewaypy import Secret
from gatewaypy.secret import SecretBytes, shape_of, wrap_extra


def test_secret_shows_text_only_by_reveal() -> None:
    """repr, str and format are masked, in f-strings and the % of logging too."""
    secret = Secret("hunter2")
    shown = f"{secret} {secret!r} {secret:>10} {[secret]} {'%s' % secret}"  # noqa: UP031 - as logging does
    assert "hunter2" not in shown
    assert secret.reveal() == "hunter2"
    assert not hasattr(secret, "__dict__")


def test_secret_cannot_be_pickled_or_iterated() -> None:
    """Copies stay in this process, and no loop shows the text letter by letter."""
    secret = Secret("hunter2")
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        list(secret)
    assert copy.copy(secret) is copy.deepcopy(secret) is secret


def test_secret_compares_by_text() -> None:
    """Equal texts are equal secrets with equal hashes; a string is not a secret."""
    assert Secret("a") == Secret("a") != Secret("b")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != "a"


def test_secret_wrap_keeps_a_secret() -> None:
    """A string becomes a secret; a secret stays the same object."""
    secret = Secret("hunter2")
    assert Secret.wrap("hunter2") == secret
    assert Secret.wrap(secret) is secret


def test_wrap_extra_wraps_every_value() -> None:
    """Extra fields without values stay None."""
    assert wrap_extra({"a": "1", "b": Secret("2")}) == {"a": Secret("1"), "b": Secret("2")}
    assert wrap_extra(None) is None


def test_secret_bytes_show_only_their_length() -> None:
    """The repr and str of a body have its size; it cannot be pickled."""
    body = SecretBytes(b"card.number=4000000000000051")
    assert f"{body} {body!r}" == "SecretBytes(28 bytes) SecretBytes(28 bytes)"
    assert bytes(body).startswith(b"card")
    with pytest.raises(TypeError):
        pickle.dumps(body)


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("", "an empty string"),
        ("a1", "2 characters: digits, letters"),
        ("a|b c", "5 characters: letters, spaces, '|'"),
        ("é\n", "2 characters: non-ASCII characters, control characters"),
        ("-", "1 character: '-'"),
        (5, "a value of type int"),
        ("1" * 1001 + "a", "1002 characters, the first 1000: digits"),
    ],
)
def test_shape_describes_without_showing(value: object, shape: str) -> None:
    """A refused value is described by its length and the kinds of its characters."""
    assert shape_of(value) == shape
