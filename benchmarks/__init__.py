"""Measures the tap and the target against the usual ways of doing the same; not installed."""
