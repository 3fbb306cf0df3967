"""Demandbase's bulk export and import APIs: HTTP and jobs, nothing of Singer."""
