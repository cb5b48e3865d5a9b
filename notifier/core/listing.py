"""What the ledger and the sealed columns say of a person on a list, written straight down: their shapes are fixed.

Each is the same, byte for byte, as the general writer makes (a property test holds them together).
"""

import json
from collections.abc import Iterable

from notifier.core.events import FORMAT_VERSION, EventType
from notifier.core.ids import id_text
from notifier.core.ledger import Prepared
from notifier.core.model import ContactPoint

_text = json.JSONEncoder().encode


def person_listed(
    *,
    eid: bytes,
    actor: bytes,
    list_id: str,
    row: int,
    person: bytes,
    recipient: bytes,
    contacts: Iterable[tuple[bytes, ContactPoint]],
    commitment: bytes,
    opening: bytes,
) -> Prepared:
    """The event that a row of a list became a person. Ids are 16 bytes; `actor` comes from `ledger.actor_member`."""
    named = ",".join(_named(contact_id, point) for contact_id, point in contacts)
    middle = (
        f'"commit":{{"person":"{commitment.hex()}"}},'
        f'"data":{{"contacts":[{named}],"list":"{list_id}","recipient":"{id_text(recipient)}","row":{row}}},'
        f'"eid":"{id_text(eid)}"'
    )
    end = f'"person":"{id_text(person)}","type":"{EventType.PERSON_LISTED.value}","v":{FORMAT_VERSION}'
    return Prepared(eid, EventType.PERSON_LISTED, person, actor, middle.encode(), end.encode(), opening)


def _named(contact_id: bytes, point: ContactPoint) -> str:
    problem = f',"problem":"{point.problem}"' if point.problem is not None else ""
    return f'{{"id":"{id_text(contact_id)}","kind":"{point.kind}"{problem}}}'


def sealed_point(point: ContactPoint) -> bytes:
    """What is sealed of a contact point: JSON with `value`, and `address` where it is one for post."""
    address = point.address
    if address is None:
        return f'{{"value": {_text(point.value)}}}'.encode()
    return _text(
        {
            "value": point.value,
            "address": {
                "lines": address.lines,
                "city": address.city,
                "region": address.region,
                "postal_code": address.postal_code,
                "country": address.country,
            },
        }
    ).encode()


def sealed_code(code: str) -> bytes:
    """What is sealed of a recipient: JSON with their `code`, eleven digits."""
    return b'{"code": "%b"}' % code.encode()
