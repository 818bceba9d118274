"""The groups of operations that hang off a `Gateway`: ``gateway.tokens`` and its like."""

from gatewaypy.parts.tokens import Tokens

__all__ = ["Tokens"]
