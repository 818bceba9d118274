"""Forms that send the payer's browser to the gateway's own pages."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from django.utils.functional import SimpleLazyObject
from hypothesis import given
from hypothesis import strategies as st

from gatewaypy import HostedForm, Redirect, Secret, errors
from gatewaypy.models.redirect import redirect_page

URL = "https://gateway.example/transaction/Checkout"
CHECKSUM = "f50bcb9ee2fae8a3c22ab125b27451bf"
FORM = HostedForm(
    URL,
    (
        ("memberId", "11344"),
        ("orderDescription", "Order 1"),
        ("lang", ""),
        ("checksum", Secret(CHECKSUM)),
    ),
)

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
HOSTILE = st.text(st.sampled_from("\"'<>&;=/ \n#x2723ampltg{}%"), max_size=20)
VALUES = ANY_TEXT | HOSTILE


class Page(HTMLParser):
    """What a browser finds in a page: each element, and the inputs of its only form."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.elements if name == tag]

    @property
    def pairs(self) -> tuple[tuple[str | None, str | None], ...]:
        return tuple((found["name"], found["value"]) for found in self.all("input"))


def test_hosted_form_page_posts_utf8_and_hides_its_url() -> None:
    """It posts UTF-8, has a viewport, and the gateway does not see the URL of the page."""
    page = Page(FORM.html())
    assert page.all("form") == [{"action": URL, "method": "post", "accept-charset": "utf-8"}]
    metas = page.all("meta")
    assert {"charset": "utf-8"} in metas
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in metas
    assert {"name": "referrer", "content": "no-referrer"} in metas
    assert {found["type"] for found in page.all("input")} == {"hidden"}


def test_hosted_form_page_button_is_outside_noscript() -> None:
    """The button works if scripts are on but blocked, and no handler is inline."""
    page = Page(FORM.html())
    assert page.all("button") == [{"type": "submit"}]
    assert page.all("noscript") == []
    assert page.all("script") == [{}]
    handlers = [
        name
        for _, attributes in page.elements
        for name in attributes
        if name.startswith("on") or name == "style"
    ]
    assert handlers == []


@pytest.mark.parametrize(
    ("nonce", "written"),
    [
        ("r4nd0m", "r4nd0m"),
        ("a+b/c_d-e==", "a+b/c_d-e=="),
        (SimpleLazyObject(lambda: "bGF6eQ=="), "bGF6eQ=="),
    ],
    ids=["letters", "base64", "lazy"],
)
def test_hosted_form_nonce_is_on_script_and_style(nonce: str, written: str) -> None:
    """The nonce of the policy is on the one script and the one style of the page."""
    page = Page(FORM.html(nonce=nonce))
    assert page.all("script") == page.all("style") == [{"nonce": written}]


@pytest.mark.parametrize(
    "nonce", ["", " ", "a b", 'a"><script>', "a\n", "a'", "===", "é", "a=b", b"abc", 1], ids=repr
)
def test_hosted_form_invalid_nonce_raises(nonce: Any) -> None:
    """A nonce that could leave its attribute, or is invalid in a policy, is refused unseen."""
    for page in (FORM, Redirect("https://acs.example/"), Redirect("https://acs.example/", "GET")):
        with pytest.raises(errors.InvalidRequest, match="nonce: must be") as refused:
            page.html(nonce=nonce)
        assert "<script>" not in str(refused.value)


def test_hosted_form_inputs_are_revealed_in_order() -> None:
    """Empty inputs are included, and so is the checksum, which the gateway needs."""
    assert FORM.inputs() == (
        ("memberId", "11344"),
        ("orderDescription", "Order 1"),
        ("lang", ""),
        ("checksum", CHECKSUM),
    )
    assert Page(FORM.html()).pairs == FORM.inputs()


@pytest.mark.parametrize(
    "shown", [repr(FORM), str(FORM), f"{FORM}", repr(FORM.fields), str(dict(FORM.fields))]
)
def test_hosted_form_repr_masks_checksum(shown: str) -> None:
    """A logged form has no checksum."""
    assert CHECKSUM not in shown


def test_hosted_form_repr_shows_only_its_url() -> None:
    """Names and addresses of the payer are hidden, as is the checksum."""
    assert repr(FORM) == f"HostedForm(url='{URL}')"


@pytest.mark.parametrize(
    "hostile",
    [
        '"><script>alert(1)</script>',
        "'><img src=x onerror=alert(1)>",
        '" onfocus="alert(1)" autofocus="',
        "</form></body></html>",
        "&quot;&#x27;&lt;",
        "&copy=1&amp",
        "a&b=c",
        "{url}{inputs}%s",
        "Zoë ツ 𝄞",
    ],
)
def test_hosted_form_values_are_escaped(hostile: str) -> None:
    """Names, values, secrets and the URL add no element, and give the same pairs."""
    form = HostedForm(
        f"{URL}?a={hostile}", ((hostile, "1"), ("name", hostile), ("secret", Secret(hostile)))
    )
    page = Page(form.html())
    assert page.pairs == ((hostile, "1"), ("name", hostile), ("secret", hostile))
    assert page.all("form")[0]["action"] == form.url
    usual = Page(HostedForm(URL, (("a", "1"), ("b", "2"), ("c", "3"))).html())
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in usual.elements]
    assert all(set(found) == {"type", "name", "value"} for found in page.all("input"))


@given(VALUES, st.lists(st.tuples(VALUES, VALUES | VALUES.map(Secret)), max_size=6))
def test_hosted_form_page_returns_every_pair(
    query: str, fields: list[tuple[str, str | Secret]]
) -> None:
    """A browser reads exactly the pairs that were put in, with any values."""
    form = HostedForm(f"{URL}?{query}", tuple(fields))
    page = Page(form.html())
    assert page.pairs == form.inputs()
    assert [found["action"] for found in page.all("form")] == [form.url]
    assert {tag for tag, _ in page.elements} <= {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "p",
        "form",
        "input",
        "button",
        "script",
    }


def test_hosted_form_equality_compares_fields() -> None:
    """Equal fields to the same page are equal; another checksum is not."""
    assert HostedForm(URL, FORM.fields) == FORM
    assert HostedForm(URL, (*FORM.fields[:-1], ("checksum", Secret("0" * 32)))) != FORM


def test_redirect_page_escapes_title_and_words() -> None:
    """A title or a text with markup adds no element to the page."""
    html = redirect_page(URL, "POST", (), title="</title><b>", words="<i>a & b")
    page = Page(html)
    assert not {"b", "i"} & {tag for tag, _ in page.elements}
    assert "&lt;i&gt;a &amp; b" in html
