"""The command ``demandbase``: looks at jobs, quotas, runs and states of a tenant."""
