"""The APIs that Demandbase publishes for uapi.demandbase.com, version 1."""
