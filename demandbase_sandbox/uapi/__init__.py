"""The API that Demandbase publishes (``uapi.demandbase.com``), over the same tenant as v1.

The documentation leaves much open. There, this server is as strict as the documentation allows:

- Accounts have Demandbase's number (``{Account}.id``), which ``accountIds`` take, and the id of
  the system that they came from (``{Account}.account_id``, External Account ID).
- Activities need a date range of at most 90 days, both ends included. For other entity types a
  range is checked and has no effect.
- The buying group types need ``accountIds``, and no other type accepts them. Campaigns and
  creatives need ``source`` and ``adReportType``; the report types are an assumption.
- A job for account lists without ids exports all of them; one for person lists needs ids. The
  columns of both are an assumption.
- A call over the day's budget is a 429 without a published code. Every call with a valid token
  counts, and all kinds of export jobs share one budget.
- The export quota is for the last 24 hours, not for a day.
- Query parameters, paths and methods that are not published are rejected.
- An import changes the account list of its own name.
- Of the Custom Sources API, only the reading operations are served. With the group ``all``, the
  source CSV is among the sources.
- For the rows of an import, see ``import_rows``. A file that is not CSV or lacks a required
  header is accepted; its job fails.
"""
