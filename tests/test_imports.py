"""Lazy imports: importing the package loads little, and an open gateway loads nothing more."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import gatewaypy
from gatewaypy import errors, models, resources, transport
from gatewaypy.imports import import_extra
from gatewaypy.sandbox import FaultKind

if TYPE_CHECKING:
    from types import ModuleType

    from gatewaypy.sandbox import Sandbox

PROCESS = Path(__file__).parent / "support" / "loading_process.py"
#: Modules that an open gateway uses, modules of rare features, and needs of other packages of the
#: library.
LATE = {
    "gatewaypy.pipeline.known_payments",
    "gatewaypy.pipeline.call",
    "gatewaypy.callbacks",
    "gatewaypy.cli",
    "gatewaypy.pipeline.slots",
    "gatewaypy.models.invoices",
    "gatewaypy.models.stored_cards",
    "gatewaypy.resources.checkout",
    "gatewaypy.resources.customers",
    "gatewaypy.resources.invoices",
    "gatewaypy.resources.links",
    "gatewaypy.resources.merchants",
    "gatewaypy.resources.recurring",
    "gatewaypy.resources.stored_cards",
    "gatewaypy.resources.tokens",
    "gatewaypy.payouts",
    "gatewaypy.pipeline.pipeline",
    "gatewaypy.protocol.classify",
    "gatewaypy.protocol.decode",
    "gatewaypy.protocol.encode",
    "gatewaypy.protocol.records",
    "gatewaypy.protocol.inquiry",
    "gatewaypy.sandbox",
    "gatewaypy.pipeline.redis_tokens",
    "gatewaypy.storage",
    "gatewaypy.testing",
    "gatewaypy.pipeline.token_source",
    "gatewaypy.transport.aiohttp",
    "gatewaypy.transport.aiohttp_sender",
    "gatewaypy.transport.fastest",
    "gatewaypy.transport.httptools",
    "gatewaypy.transport.httptools_connection",
    "gatewaypy.transport.pyreqwest",
}
HEAVY = {
    "aiohttp",
    "aiolimiter",
    "anyio",
    "asyncpg",
    "cattrs",
    "httpcore",
    "httptools",
    "httpx",
    "httpx2",
    "jinja2",
    "matplotlib",
    "pyreqwest",
    "pytest",
    "redis",
    "rich",
    "sqlite3",
    "starlette",
    "taskiq",
    "typer",
    "uvicorn",
    "xmltodict",
}


def added_by(code: str) -> set[str]:
    """Return the modules that a line of code loads in a new interpreter."""
    measured = f"import sys; before = set(sys.modules)\n{code}\nprint(*set(sys.modules) - before)"
    run = subprocess.run(
        [sys.executable, "-c", measured], capture_output=True, check=True, text=True
    )
    return set(run.stdout.split())


def test_import_package_loads_little() -> None:
    """No web framework, database, CLI or HTTP client is loaded before it is needed."""
    added = added_by("import gatewaypy")
    assert "gatewaypy.client" in added
    assert not added & (HEAVY | LATE)


def test_import_lazy_modules_exist() -> None:
    """A renamed module is not mistaken for one that is not loaded."""
    root = Path(gatewaypy.__file__).parent.parent
    for name in LATE:
        place = root.joinpath(*name.split("."))
        assert place.is_dir() or place.with_suffix(".py").is_file()


@pytest.mark.parametrize(
    "module", [gatewaypy, models, resources, transport], ids=lambda module: module.__name__
)
def test_import_lazy_names_are_complete(module: ModuleType) -> None:
    """A lazy name is listed, can be imported with all others, and is always the same object."""
    assert not set(module.__all__) - set(dir(module))
    added_by(f"from {module.__name__} import *; assert globals().keys() >= set({module.__all__!r})")
    for name in module.__all__:
        assert getattr(module, name) is getattr(module, name)


@pytest.mark.parametrize(
    "module", [gatewaypy, models, resources, transport], ids=lambda module: module.__name__
)
def test_import_unknown_name_raises_attribute_error(module: ModuleType) -> None:
    """A module with lazy names fails like any module, with the name and where it was searched."""
    with pytest.raises(
        AttributeError, match=rf"module '{module.__name__}' has no attribute 'Gatewya'"
    ) as caught:
        _ = module.Gatewya
    assert (caught.value.name, caught.value.obj) == ("Gatewya", module)


def test_import_extra_missing_module_names_the_extra() -> None:
    """The message says what needs the extra, and how to install it."""
    message = "XML needs an extra that is not installed; run: pip install 'gatewaypy[xml]'"
    with pytest.raises(errors.ConfigurationError) as caught:
        import_extra("gatewaypy_no_such_module", feature="XML", extra="xml")
    assert str(caught.value) == message


def test_import_extra_returns_the_module() -> None:
    """An installed module is returned."""
    assert import_extra("gatewaypy.models", feature="a test", extra="xml") is models


@pytest.mark.parametrize(
    ("kind", "body", "accept"),
    [
        ("HttpxTransport", "form", "json"),
        ("HttpxTransport", "json", "xml"),
        ("AiohttpTransport", "form", "json"),
        ("HttptoolsTransport", "form", "json"),
        ("PyreqwestTransport", "form", "json"),
    ],
)
async def test_import_open_gateway_loads_nothing(
    sandbox: Sandbox, kind: str, body: str, accept: str
) -> None:
    """No operation or failure of an open gateway imports modules outside the standard library."""
    pytest.importorskip(kind.removesuffix("Transport").lower())
    sandbox.faults.add(FaultKind.CUT_AFTER, operation="payout", after=1)
    sandbox.faults.add(FaultKind.CUT_BEFORE, operation="debit", after=2)
    mine = sandbox.credentials
    account = {
        "MEMBER_ID": mine.member_id,
        "PARTNER_ID": mine.partner_id,
        "USERNAME": mine.username,
    }
    account |= {"SECRET_KEY": mine.secret_key.reveal(), "TERMINAL_ID": mine.terminal_id or ""}
    account |= {
        "PARTNER_NAME": mine.partner_name or "",
        "PARTNER_USERNAME": mine.partner_username or "",
    }
    account |= {
        "PARTNER_SECRET_KEY": ""
        if mine.partner_secret_key is None
        else mine.partner_secret_key.reveal()
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, PROCESS, sandbox.base_url, kind, body, accept,
        env=os.environ | {f"GATEWAYPY_{name}": value for name, value in account.items()}, stdout=subprocess.PIPE,
    )  # fmt: skip
    output = json.loads((await process.communicate())[0])
    assert output["late"] == []
    done = dict.fromkeys(
        ("debit", "preauth", "another preauth", "capture", "reversal", "refund", "payout"),
        "SUCCEEDED",
    )
    done |= dict.fromkeys(
        ("recurring initial", "repeat", "stored card", "paid by it", "sign-up", "branch"),
        "SUCCEEDED",
    )
    assert output["ends"] == done | {
        "refused": "FAILED",
        "inquiry": "REFUNDED",
        "no record": "UNKNOWN",
        "never sent": "InvalidRequest",
        "reply lost": "SUCCEEDED",
        "no outcome": "OutcomeUnknown",
        "redirect": "REDIRECT",
        "link": "SUCCEEDED",
        "invoice": "SUCCEEDED",
        "statement": "Statement",
        "token": "AuthToken",
    }
