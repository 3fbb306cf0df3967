"""The API that Demandbase publishes (``uapi.demandbase.com``), over the tenant that v1 shows."""
