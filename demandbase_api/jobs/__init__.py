"""Export and import jobs over either API: create, poll, reuse, upload, recover."""
