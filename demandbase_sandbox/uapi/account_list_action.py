"""What an import of accounts does to the account list that bears its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from demandbase_sandbox.store import Store

ListAction = Literal["replace", "insert", "delete", "noop"]
DEFAULT_ACTION: ListAction = "replace"
_LIST = "account_lists"
_MEMBERS = "account_list_members"


def apply_list_action(
    store: Store, list_name: str, action: ListAction, account_ids: Iterable[str]
) -> None:
    """Change the list's members: which list belongs to an import is its name, as in the app.

    ``replace`` and ``insert`` create a list that is not there; ``replace`` takes all other
    members out first.
    """
    if action == "noop":
        return
    with store.lock:
        numbers = store.select(_LIST, ["account_list_id"], "account_list_name = ?", [list_name])
        number = next((found for (found,) in numbers if found), None)
        if number is None:
            if action == "delete":
                return
            taken = [int(found or 0) for (found,) in store.select(_LIST, ["account_list_id"])]
            number = str(max(taken, default=0) + 1)
            store.write(_LIST, None, {"account_list_id": number, "account_list_name": list_name})
        on_list = {
            found
            for (found,) in store.select(_MEMBERS, ["account_id"], "account_list_id = ?", [number])
        }
        named = dict.fromkeys(account_ids)
        gone = on_list.difference(named) if action == "replace" else on_list.intersection(named)
        with store.transaction():
            for account_id in gone if action != "insert" else ():
                store.delete(
                    _MEMBERS, "account_id = ? AND account_list_id = ?", [account_id or "", number]
                )
            for account_id in named if action != "delete" else ():
                if account_id not in on_list:
                    member = {"account_list_id": number, "account_id": account_id}
                    store.write(_MEMBERS, None, member)
