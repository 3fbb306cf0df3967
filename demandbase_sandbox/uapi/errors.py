"""The error codes that the export API publishes."""

from __future__ import annotations

from demandbase_sandbox.exceptions import ApiError

ERROR_CODES = {
    "400-102": "The body is no valid JSON object",
    "400-103": "A parameter is invalid",
    "400-104": "A required parameter is missing",
    "400-111": "A date is neither yyyy-mm-dd nor yyyy-mm-ddThh:mm:ssZ",
    "400-112": "fromDate and toDate go together",
    "400-113": "fromDate is after toDate",
    "400-114": "An Activity date range covers at most 90 days",
    "400-115": "Invalid field names",
    "400-116": "format is CSV or JSON",
    "400-117": "The job has not finished yet",
    "400-118": "limit is not numeric",
    "400-119": "limit is outside of 1 to 1,000",
    "400-120": "sort is ascending or descending",
    "400-121": "page is a positive number",
    "400-122": "perPage is a positive number",
    "400-123": "entityType is not supported",
    "400-124": "jobStatus is not supported",
    "400-125": "The entityType has no fields endpoint",
    "400-126": "jobName is missing or longer than 50 characters",
    "400-127": "The entityType of the body is not supported",
    "400-129": "An account list ID is not numeric",
    "400-130": "performance is not supported",
    "400-131": "creativeId or campaignId is required",
    "400-132": "creativeId is not numeric",
    "400-133": "campaignId is not numeric",
    "400-134": "accountId is not numeric",
    "400-135": "An account or campaign identifier is missing",
    "400-136": "performance can only be rollup",
    "400-137": "fromDate is not before toDate",
    "400-138": "source is not supported",
    "400-139": "adReportType is invalid for the entity type",
    "400-140": "The operator does not fit the field's data type",
    "400-141": "A person list ID is not numeric",
    "400-142": "Account lists do not exist",
    "400-143": "Person lists do not exist",
    "400-144": "accountListId and accountListIds exclude each other",
    "400-145": "accountListIds holds at most 10,000 IDs",
    "400-146": "personListIds holds at most 10,000 IDs",
    "400-147": "Unrecognized property",
    "400-148": "An account ID is not numeric",
    "400-149": "accountIds is required",
    "400-150": "accountIds holds at most 10,000 IDs",
    "400-151": "A company ID is not numeric",
    "400-152": "companyIds is required",
    "400-153": "companyIds holds at most 10,000 IDs",
    "400-154": "Invalid reference entity type",
    "400-155": "A field is outside of the tenant's Export collection",
    "401-100": "Authentication credentials are missing or invalid",
    "403-100": "The user may not run this export",
    "403-101": "The tenant has no access to the entity type",
    "403-102": "The API key has no access to the resource",
    "403-103": "The tenant has no Export collection enabled",
    "403-104": "Fields are not in the tenant's Export collection",
    "403-105": "The tenant has no access to the endpoint",
    "404-301": "There is no such resource",
    "404-302": "Job id invalid",
    "404-303": "The result part is invalid",
    "429-100": "Rate limit exceeded",
    "429-101": "The export quota of 24 hours is used up",
    "429-102": "Another export job is running",
    "500-100": "An internal service failed",
}
"""Messages of all published codes; some codes are sent only by faults."""


def coded_error(code: str, detail: str = "") -> ApiError:
    """Return the error with a published code, whose first three digits are the status."""
    sentence = ERROR_CODES[code]
    return ApiError(int(code[:3]), f"{sentence}: {detail}" if detail else f"{sentence}.", code)
