"""Records in blocks, many at a time: the fast path proves, the slow path (``csv_writer``) explains.

These modules need pyarrow, which costs time and memory: import them when records come.
"""
