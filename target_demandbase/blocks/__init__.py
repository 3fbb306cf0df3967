"""The fast path: many records at a time, where nothing about them needs a closer look.

It proves and never explains: what does not fit goes record by record, where the reason is found.
"""
