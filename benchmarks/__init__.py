"""Speed and memory of the tap and the target, compared with other programs; not installed."""
