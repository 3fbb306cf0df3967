"""A local stand-in for a Demandbase tenant: for trying the pair, the demo and the tests."""

from demandbase_sandbox.faults import Effect, Fault
from demandbase_sandbox.options import SandboxOptions
from demandbase_sandbox.server import Sandbox

__all__ = ["Effect", "Fault", "Sandbox", "SandboxOptions"]
