"""The findings of ``demandbase check --deep``: what a tenant says about what no document does."""
