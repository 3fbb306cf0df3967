"""A local stand-in server for a Demandbase tenant, for a first try, the demo and the tests.

Two APIs, ``v1`` and ``uapi``, serve one tenant. ``Fault`` scripts what goes wrong.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from demandbase_sandbox.faults import Effect, Fault
    from demandbase_sandbox.options import SandboxOptions
    from demandbase_sandbox.server import Sandbox

__all__ = ["Effect", "Fault", "Sandbox", "SandboxOptions"]

_MODULES = {"Effect": "faults", "Fault": "faults", "Sandbox": "server", "SandboxOptions": "options"}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    # Imported when they are used: the command must start without the packages of the extra.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
