"""Read XML as the fields of the JSON form; ambiguous XML is refused (protocol section 2).

No sample of the gateway's XML is known, so all of this is our choice: it reads what the usual Java
writers make. An element is a field by its name without a prefix. Repeated elements are a list. An
attribute is a field of its element.
"""

from __future__ import annotations

from typing import Any, Final
from xml.parsers import expat

from gatewaypy.protocol.charset import is_deciding

#: How deep a body may be nested, as JSON too.
MAX_DEPTH: Final = 20

_TEXT: Final = "#text"
#: Attributes about the XML and not about the payment, by their names without a prefix.
_ABOUT_XML: Final = frozenset(
    {
        "xmlns",
        "type",
        "class",
        "lang",
        "space",
        "base",
        "encoding",
        "encodingStyle",
        "schemaLocation",
        "noNamespaceSchemaLocation",
    }
)
_ABSENT: Final = frozenset({"nil", "null"})
_YES: Final = frozenset({"true", "1"})
_NO: Final = frozenset({"false", "0"})


class XmlError(Exception):
    """The XML has no fields, or has one in two ways. The text states why and never quotes them."""


class _Expat:
    """Python's XML parser without document type definitions, and so without entities."""

    @staticmethod
    def ParserCreate(*args: Any) -> expat.XMLParserType:  # noqa: ANN401, N802 - expat's own name
        parser = expat.ParserCreate(*args)
        parser.StartDoctypeDeclHandler = _refuse_doctype
        return parser


def read_fields(text: str, xmltodict: Any) -> dict[str, Any]:  # noqa: ANN401 - a module
    """Read the fields of one XML element.

    Args:
        text: The decoded body; the encoding that it declares is ignored.
        xmltodict: The module of that name, which is an extra.

    Returns:
        Strings, dictionaries, lists, and ``None`` for elements declared absent (``xsi:nil``).

    Raises:
        XmlError: It is not well-formed or too deep, has a DTD, or contradicts itself.
    """
    reason = "the body is not valid XML"
    try:
        (content,) = xmltodict.parse(text, expat=_Expat, disable_entities=True).values()
    except (expat.ExpatError, ValueError):
        pass
    else:
        fields, own = _read_element("", content, 0)
        if isinstance(fields, dict) and not own:
            return fields
        reason = "the body's root element has no fields"
    raise XmlError(reason)


def _refuse_doctype(*_: object) -> None:
    msg = "the body has a DTD or an entity"
    raise XmlError(msg)


def _read_element(
    name: str,
    content: Any,  # noqa: ANN401 - any value of xmltodict
    depth: int,
) -> tuple[Any, dict[str, str]]:
    """Read an element; return its value, and its attributes that belong to its parent."""
    if depth > MAX_DEPTH:
        msg = f"the body is nested deeper than {MAX_DEPTH}"
        raise XmlError(msg)
    if not isinstance(content, dict):
        return content or "", {}
    text = content.get(_TEXT)
    is_absent, attributes = _read_attributes(content)
    elements = {
        key: value for key, value in content.items() if key != _TEXT and not key.startswith("@")
    }
    if is_absent:
        if text is not None or elements or attributes:
            msg = "the body has an element that is declared absent and has content"
            raise XmlError(msg)
        return None, {}
    if text is None:
        return _read_children(attributes, elements, depth) if elements or attributes else "", {}
    if elements:
        msg = "the body has an element with both text and elements"
        raise XmlError(msg)
    return text, _read_qualifiers(name, text, attributes)


def _read_children(
    attributes: dict[str, str], elements: dict[str, Any], depth: int
) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    qualifiers: list[tuple[str, str]] = list(attributes.items())
    for qualified, content in elements.items():
        name = qualified.rpartition(":")[2]
        if name in fields:
            msg = "the body has a name more than once, with different prefixes"
            raise XmlError(msg)
        if isinstance(content, list):
            read = [_read_element(name, each, depth + 1) for each in content]
            fields[name] = [value for value, _ in read]
        else:
            read = [_read_element(name, content, depth + 1)]
            fields[name] = read[0][0]
        qualifiers += [pair for _, own in read for pair in own.items()]
    for name, value in qualifiers:
        if fields.setdefault(name, value) != value:
            msg = "the body has an attribute that contradicts an element"
            raise XmlError(msg)
    return fields


def _read_attributes(content: dict[str, Any]) -> tuple[bool, dict[str, str]]:
    """Return whether an element is declared absent, and its attributes about the payment."""
    is_absent, attributes = False, {}
    for key, value in content.items():
        prefix, _, name = key.removeprefix("@").rpartition(":")
        if not key.startswith("@") or prefix in {"xmlns", "xml"} or name in _ABOUT_XML:
            continue
        if name in _ABSENT and value.strip() in _YES | _NO:
            is_absent = is_absent or value.strip() in _YES
        elif name in attributes:
            msg = "the body has an attribute more than once, with different prefixes"
            raise XmlError(msg)
        else:
            attributes[name] = value.strip()
    return is_absent, attributes


def _read_qualifiers(name: str, text: str, attributes: dict[str, str]) -> dict[str, str]:
    """Read the attributes of an element with text: an amount's currency becomes a field."""
    qualifiers = {}
    for attribute, value in attributes.items():
        if attribute == "currency":
            qualifiers[attribute] = value
        elif value != text and (
            attribute == "value" or is_deciding(name) or is_deciding(attribute)
        ):
            msg = "the body has an attribute that contradicts its element"
            raise XmlError(msg)
    return qualifiers
