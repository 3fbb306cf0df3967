"""Reads and encodes rows in blocks with pyarrow.

The fast path only accepts what it certainly reads as ``csv_reader`` does; the rest goes through
that slow path. Import these modules inside functions: pyarrow takes time and memory to load.
"""
