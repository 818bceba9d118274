"""Names that the Python blocks of README.md and docs/*.md may use.

`test_docs_blocks.py` puts `from docs_prelude import *` before each block. A block may use the
public names of the library, and the objects below, which an application has. It imports all other
names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewaypy import *  # noqa: F403
from gatewaypy.callbacks import *  # noqa: F403
from gatewaypy.payouts import *  # noqa: F403

if TYPE_CHECKING:
    from fastapi import FastAPI

    from gatewaypy import Card, Credentials, Gateway, Payment, Platform
    from gatewaypy.callbacks import CallbackApp, Router

# The application's framework, the account and the open client.
app: FastAPI
platform: Platform
credentials: Credentials
gateway: Gateway
callbacks: CallbackApp
router: Router

# A payment, and the payer's card.
payment: Payment
card: Card
