"""Adapters for the v1 API: ``/export/v1`` and ``/import/v1`` of api.demandbase.com."""
