"""What the tenant's credentials may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demandbase_sandbox.refusal import RefusalError

if TYPE_CHECKING:
    from demandbase_sandbox.tenant import Tenant


def may_import(tenant: Tenant) -> None:
    """Refuse credentials without the permission to import data.

    Raises:
        RefusalError: 403.
    """
    if not tenant.options.import_permission:
        raise RefusalError(403, "the user lacks the permission to import data")
