"""Callbacks: verified, stored before they are acknowledged, and passed to typed handlers."""

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
from gatewaypy.callbacks.inbox import ClaimedEntry, Inbox, InboxEntry, Watched
from gatewaypy.callbacks.payment_progress import PaymentNames, Progress
from gatewaypy.callbacks.receiver import Acknowledgement, Receiver, ReceiverOptions
from gatewaypy.callbacks.reconciler import Reconciler
from gatewaypy.callbacks.router import EventContext, Handler, Router
from gatewaypy.callbacks.signature import sign_callback, verify_callback

__all__ = [
    "Acknowledgement",
    "BrowserReturn",
    "CallbackApp",
    "CallbackEvent",
    "ChargedBack",
    "ClaimedEntry",
    "EventContext",
    "Handler",
    "Inbox",
    "InboxEntry",
    "PaymentAuthorized",
    "PaymentCancelled",
    "PaymentFailed",
    "PaymentNames",
    "PaymentPending",
    "PaymentRefunded",
    "PaymentSucceeded",
    "PayoutFailed",
    "PayoutPending",
    "PayoutSucceeded",
    "Progress",
    "Receiver",
    "ReceiverOptions",
    "Reconciler",
    "RegistrationReturn",
    "Router",
    "UnknownEvent",
    "Watched",
    "read_registration_return",
    "read_return",
    "sign_callback",
    "verify_callback",
]
