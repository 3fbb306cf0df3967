"""A local stand-in for a Demandbase tenant: for trying the pair, the demo and the tests."""
