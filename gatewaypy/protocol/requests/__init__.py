"""Build each operation's request from the caller's types (protocol sections 4 and 6)."""

from gatewaypy.protocol.requests.back_office import follow_up, inquiry, payout, transaction_list
from gatewaypy.protocol.requests.invoices import (
    cancel_invoice,
    generate_invoice,
    invoice_configuration,
    invoice_status,
    pay_by_link,
    regenerate_invoice,
    remind,
)
from gatewaypy.protocol.requests.pages import hosted_card_registration, hosted_checkout
from gatewaypy.protocol.requests.payments import THREE_D, Stored, payment
from gatewaypy.protocol.requests.request import Request
from gatewaypy.protocol.requests.stored_cards import (
    delete_stored_card,
    list_stored_cards,
    sign_up_customer,
    sign_up_merchant,
    store_card,
)
from gatewaypy.protocol.requests.tokens import (
    merchant_token,
    partner_token,
    regenerated_token,
    token_of,
)

__all__ = [
    "THREE_D",
    "Request",
    "Stored",
    "cancel_invoice",
    "delete_stored_card",
    "follow_up",
    "generate_invoice",
    "hosted_card_registration",
    "hosted_checkout",
    "inquiry",
    "invoice_configuration",
    "invoice_status",
    "list_stored_cards",
    "merchant_token",
    "partner_token",
    "pay_by_link",
    "payment",
    "payout",
    "regenerate_invoice",
    "regenerated_token",
    "remind",
    "sign_up_customer",
    "sign_up_merchant",
    "store_card",
    "token_of",
    "transaction_list",
]
