"""Encodes plain records many at a time; all others are left to ``csv_writer``.

These modules import pyarrow, which costs time and memory: import them only when records arrive.
"""
