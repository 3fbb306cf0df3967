"""What outlives a run: where it is kept, and which runs use it."""
