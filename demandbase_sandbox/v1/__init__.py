"""The stand-in for the v1 API."""
