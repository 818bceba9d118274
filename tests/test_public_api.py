"""The public names of the package."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import gatewaypy

if TYPE_CHECKING:
    from types import ModuleType

OPERATIONS = {"debit", "preauth", "capture", "reversal", "refund", "payout", "inquire"}
PACKAGE = Path(gatewaypy.__file__).parent
PUBLIC_MODULES = [
    import_module(f"gatewaypy{name}")
    for name in (
        "",
        ".callbacks",
        ".errors",
        ".interfaces",
        ".payouts",
        ".payouts.distributed",
        ".platforms",
        ".sandbox",
        ".storage",
        ".testing",
        ".transport",
    )
]
#: Given by a `Gateway` to its groups of operations, which callers do not construct.
INTERNAL = {"Pipeline"}
LIBRARY_CLASSES = {
    node.name
    for path in PACKAGE.rglob("*.py")
    for node in ast.parse(path.read_bytes()).body
    if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
}


def annotated_names(value: object) -> set[str]:
    """Return the names in the annotations of a function, or of a class and its public methods."""
    if not inspect.isclass(value):
        annotations = getattr(value, "__annotations__", {})
        return {
            node.id
            for text in annotations.values()
            for node in ast.walk(ast.parse(text if isinstance(text, str) else "None"))
            if isinstance(node, ast.Name)
        }
    found = set()
    for name, member in vars(value).items():
        function = member.fget if isinstance(member, property) else member
        function = getattr(function, "__func__", function)
        if inspect.isfunction(function) and (name == "__init__" or not name.startswith("_")):
            found |= annotated_names(function)
    return found


@pytest.mark.parametrize("module", PUBLIC_MODULES, ids=lambda module: module.__name__)
def test_public_module_lists_its_classes(module: ModuleType) -> None:
    """Each listed name exists, and each public class of the library in the module is listed."""
    for name in module.__all__:
        assert hasattr(module, name)
    for name, value in vars(module).items():
        if not inspect.isclass(value) or name.startswith("_"):
            continue
        home = "gatewaypy" if hasattr(module, "__path__") else module.__name__
        assert name in module.__all__ or not value.__module__.startswith(home)


@pytest.mark.parametrize("module", PUBLIC_MODULES, ids=lambda module: module.__name__)
def test_annotated_classes_are_public(module: ModuleType) -> None:
    """Each class of the library in a public signature can be imported from a front module."""
    public = INTERNAL | {name for module in PUBLIC_MODULES for name in module.__all__}
    missing = {
        f"{name}: {annotated}"
        for name in module.__all__
        for annotated in annotated_names(getattr(module, name)) & LIBRARY_CLASSES - public
    }
    assert not missing


def test_public_names_exist() -> None:
    """Each exported name exists once, and is documented."""
    assert len(set(gatewaypy.__all__)) == len(gatewaypy.__all__)
    for name in gatewaypy.__all__:
        value = getattr(gatewaypy, name)
        if inspect.isclass(value):
            assert value.__doc__


def test_gateway_operations_are_documented() -> None:
    """Each operation is a coroutine function whose docstring says what it raises."""
    for name in OPERATIONS:
        method = getattr(gatewaypy.Gateway, name)
        assert inspect.iscoroutinefunction(method)
        assert "Protocol section" in (method.__doc__ or "")


async def test_gateway_unknown_option_raises_type_error() -> None:
    """A mistyped option is never ignored in a payment."""
    async with gatewaypy.Gateway(
        "http://127.0.0.1:9",
        gatewaypy.Credentials(member_id="1", partner_id="1", username="u", secret_key="k" * 16),
    ) as gateway:
        with pytest.raises(TypeError, match="notification"):
            await gateway.debit(
                gatewaypy.Money(1, "EUR"),
                gatewaypy.Card("4000000000000051", 1, 2030),
                merchant_transaction_id="A",
                notification="x",
            )
