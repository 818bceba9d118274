"""Callbacks: verified, stored before they are acknowledged, and given to typed handlers."""

from gatewaypy.callbacks.app import CallbackApp
from gatewaypy.callbacks.browser_returns import (
    BrowserReturn,
    RegistrationReturn,
    read_registration_return,
    read_return,
)
from gatewaypy.callbacks.events import (
    CallbackEvent,
    ChargedBack,
    PaymentAuthorized,
    PaymentCancelled,
    PaymentFailed,
    PaymentPending,
    PaymentRefunded,
    PaymentSucceeded,
    PayoutFailed,
    PayoutPending,
    PayoutSucceeded,
    UnknownEvent,
)
from gatewaypy.callbacks.inbox import Inbox
from gatewaypy.callbacks.receiver import Acknowledgement, Receiver
from gatewaypy.callbacks.reconciler import Reconciler
from gatewaypy.callbacks.router import EventContext, Router
from gatewaypy.callbacks.signature import sign_callback, verify_callback

__all__ = [
    "Acknowledgement",
    "BrowserReturn",
    "CallbackApp",
    "CallbackEvent",
    "ChargedBack",
    "EventContext",
    "Inbox",
    "PaymentAuthorized",
    "PaymentCancelled",
    "PaymentFailed",
    "PaymentPending",
    "PaymentRefunded",
    "PaymentSucceeded",
    "PayoutFailed",
    "PayoutPending",
    "PayoutSucceeded",
    "Receiver",
    "Reconciler",
    "RegistrationReturn",
    "Router",
    "UnknownEvent",
    "read_registration_return",
    "read_return",
    "sign_callback",
    "verify_callback",
]
