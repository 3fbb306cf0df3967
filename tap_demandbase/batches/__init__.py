"""Rows as files of BATCH messages, straight from blocks.

These modules need pyarrow: import them when a sync starts.
"""
