"""How often each operation may be called a day, as published."""

DAILY_CALLS = {
    "createExportJob": 60,
    "fetchExportJobsInfo": 1200,
    "checkExportJobStatus": 300,
    "fetchFields": 60,
    "createImportJob": 1200,
    "uploadImportFile": 1200,
    "getImportJob": 3600,
    "listImportJobs": 3600,
    "listImportSources": 3600,
}
"""Published limits by the operation under whose name they are counted."""

SHARED = {
    "fetchAccountListJob": "createExportJob",
    "fetchPersonListJob": "createExportJob",
    "listActivityTypes": "listImportSources",
    "createActivityType": "listImportSources",
    "getActivityType": "listImportSources",
    "updateActivityType": "listImportSources",
}
"""Operations that spend another one's budget.

That jobs for lists spend the budget of export jobs is published nowhere; it is the stricter
reading. Reference data and tokens have no published limit.
"""
