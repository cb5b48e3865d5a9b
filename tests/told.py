"""One callback stored by itself."""

from collections.abc import Sequence

from notifier.carriers.base import Callback, CarrierReceipt
from notifier.store.engine import Database
from notifier.store.vault import Vault
from notifier.usecases.receipts import Arrival, Stored, store_all


def store_receipts(
    db: Database, receipts: Sequence[CarrierReceipt], callback: Callback, *, carrier: str, vault: Vault
) -> Stored:
    """`store_all` for one callback; raises whatever kept it from being stored."""
    (result,) = store_all(db, [Arrival(carrier, callback, receipts)], vault=vault)
    if isinstance(result, Exception):
        raise result
    return result
