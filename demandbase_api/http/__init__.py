"""HTTP: client, authentication, retries, errors of responses."""
