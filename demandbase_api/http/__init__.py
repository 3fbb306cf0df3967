"""HTTP: the client, authentication, retries and what error responses mean."""
