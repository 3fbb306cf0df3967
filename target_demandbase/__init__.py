"""Singer target for Demandbase's bulk import API."""
