"""Modules that are imported when a name is first used (PEP 562), and modules of extras."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gatewaypy.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def lazy_exports(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Build a package's ``__getattr__`` and ``__dir__``.

    The package must assign them in the ``else`` branch of ``if TYPE_CHECKING``. For a type
    checker, a module with a ``__getattr__`` has every name.

    Args:
        package: The package's ``__name__``.
        modules: The module of each name. An open gateway must not need one of them for the first
            time during a payment.

    Returns:
        The two functions.
    """
    namespace = sys.modules[package]

    def get(name: str) -> Any:  # noqa: ANN401 - any value that a module can have
        if name not in modules:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg, name=name, obj=namespace)
        value = getattr(import_module(modules[name]), name)
        # Stored, so that Python does not call this function for the same name again.
        setattr(namespace, name, value)
        return value

    def list_names() -> list[str]:
        return sorted({*vars(namespace), *modules})

    return get, list_names


def import_extra(module: str, *, feature: str, extra: str) -> Any:  # noqa: ANN401 - a module
    """Import a module that an extra installs.

    Args:
        module: Full name of the module.
        feature: What needs it, for the message.
        extra: Name of the extra; several are separated by commas.

    Returns:
        The module.

    Raises:
        ConfigurationError: The module cannot be imported.
    """
    try:
        return import_module(module)
    except ImportError:
        raise missing_extra(feature, extra) from None


def missing_extra(feature: str, extra: str) -> ConfigurationError:
    """Build the error for an extra that is not installed; see `import_extra`."""
    return ConfigurationError(
        f"{feature} needs an extra that is not installed; run: pip install 'gatewaypy[{extra}]'"
    )
