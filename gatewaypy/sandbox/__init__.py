"""The sandbox, a gateway to develop against. It needs the extra ``gatewaypy[sandbox]``."""

from gatewaypy.imports import missing_extra

try:
    import jinja2  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError:
    raise missing_extra("gatewaypy.sandbox", "sandbox") from None

from gatewaypy.sandbox.app import MERCHANT, Sandbox
from gatewaypy.sandbox.callbacks import CallbackStyle
from gatewaypy.sandbox.faults import Fault, FaultKind

__all__ = ["MERCHANT", "CallbackStyle", "Fault", "FaultKind", "Sandbox"]
