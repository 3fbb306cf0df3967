"""A local stand-in server for a Demandbase tenant, for a first try, the demo and the tests.

Two APIs, ``v1`` and ``uapi``, serve one tenant. ``Fault`` scripts what goes wrong.
"""

from demandbase_sandbox.faults import Effect, Fault
from demandbase_sandbox.options import SandboxOptions
from demandbase_sandbox.server import Sandbox

__all__ = ["Effect", "Fault", "Sandbox", "SandboxOptions"]
