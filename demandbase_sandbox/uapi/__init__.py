"""The API that Demandbase publishes (``uapi.demandbase.com``), over the tenant that v1 shows.

The documents leave much open. Where they do, this stand-in is as strict as they allow:

- Accounts are known by Demandbase's number (``{Account}.id``), which ``accountIds`` take, beside
  the id of the system they came from (``{Account}.account_id``, External Account ID).
- Activities need a date range. Ninety days count both ends. A range scopes nothing else.
- The buying group types need ``accountIds``, and no other type takes them. Campaigns and
  creatives need ``source`` and ``adReportType``; which report types there are is made up.
- A job for account lists without ids is about all of them; one for person lists needs ids. The
  columns of both are made up.
- A spent call budget is a 429 of no published code. Every call with a valid token spends it,
  and all kinds of export jobs spend one.
- The quota of bytes is one of the last 24 hours, not of a day.
- Query parameters, paths and methods that are not published are refused.
- An import is associated with the account list of its own name.
- What becomes of the rows of an import: see ``import_rows``. A file that is no CSV or lacks a
  required header makes its job fail; it is not refused.
"""
