"""The gateway to develop against; needs the extra ``gatewaypy[sandbox]``."""

from gatewaypy.errors import ConfigurationError

try:
    import jinja2  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError:
    message = "the sandbox needs its extra: pip install 'gatewaypy[sandbox]'"
    raise ConfigurationError(message) from None

from gatewaypy.sandbox.app import MERCHANT, Sandbox
from gatewaypy.sandbox.callbacks import CallbackStyle
from gatewaypy.sandbox.faults import Fault, FaultKind

__all__ = ["MERCHANT", "CallbackStyle", "Fault", "FaultKind", "Sandbox"]
