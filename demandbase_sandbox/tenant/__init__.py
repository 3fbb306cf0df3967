"""The data behind both APIs: entities, rows and jobs of one tenant."""
