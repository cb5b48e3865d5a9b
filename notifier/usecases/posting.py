"""Letters of a carrier that is called: written like the mailroom's, then handed over as messages are (dispatch.py).

A handful of them goes through dispatch's steps. What is different here:

(1) write what is due and not written yet, keep the files and say so in the ledger; then claim written letters under a
    lease. Nobody is called before either is committed. An agency whose own address cannot be read posts nothing, and
    somebody there is told.
(2) open each letter's file and its address; give back what a stop has come to hold, give up what cannot be opened.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog

from notifier.carriers.base import Message, Post
from notifier.core.errors import NotFound, Sealed
from notifier.core.model import PostalAddress
from notifier.store.attempts import database_now, give_back, stopped_since
from notifier.store.blobs import SealedFile, read_blobs
from notifier.store.engine import Tx
from notifier.store.posting import ToPost, claim_letters_to_post
from notifier.usecases.compose import Parcel, Unwritten, open_parcels, unreadable
from notifier.usecases.dispatch import Sender
from notifier.usecases.handful import Handful, uptime
from notifier.usecases.letters import Mailroom, compose_letters
from notifier.usecases.return_address import NOWHERE, our_address, review_address
from notifier.usecases.writing import Outgoing

log = structlog.get_logger()


def prepare_letters(agency_id: UUID, sender: Sender, at_most: int, now: datetime) -> Handful:
    """Write and claim letters of the sender's carrier; a `Prepare` of dispatch."""
    began = uptime()
    slug, channel = sender.carrier.slug, sender.carrier.channel
    mailroom = Mailroom(sender.vault, sender.renderer)
    with sender.db.transaction(agency_id) as tx:
        us = our_address(tx)
        if us[1] is NOWHERE:
            if review_address(tx, slug, now=now) is not None:
                log.error("posting.no_return_address", agency=str(agency_id))
            return Handful(0, (), (), now, began)
        compose_letters(tx, mailroom=mailroom, now=now, carrier=slug, chunk=at_most)  # (1)
    served = sender.turns.served_in(agency_id)
    with sender.db.transaction(agency_id) as tx:
        clock = database_now(tx)
        letters = claim_letters_to_post(tx, slug, chunk=at_most, lease=sender.lease, served=served, modes=sender.modes)
        if not letters:
            return Handful(0, (), (), clock, began)
        claimed = [letter.claimed for letter in letters]
        parcels, unopened = open_parcels(tx, claimed, vault=sender.vault, now=now)  # (2)
        outgoing, spoilt = _pack(tx, {letter.claimed.attempt_id: letter for letter in letters}, parcels, us)
        stopped = stopped_since(tx, channel, claimed)
        give_back(tx, [item for item in claimed if item.matter_id in stopped])
    sender.turns.serve(agency_id, [item.matter_id for item in claimed])
    return Handful(
        len(claimed),
        [item for item in outgoing if item.parcel.claimed.matter_id not in stopped],
        [item for item in (*unopened, *spoilt) if item.claimed.matter_id not in stopped],
        clock,
        began,
    )


def _pack(
    tx: Tx, letters: dict[UUID, ToPost], parcels: Sequence[Parcel], us: tuple[str, PostalAddress]
) -> tuple[list[Outgoing], list[Unwritten]]:
    """Each letter on its own: what is damaged keeps nobody else waiting."""
    files = read_blobs(tx, [letter.blob_id for letter in letters.values()])
    packed: list[Outgoing] = []
    spoilt: list[Unwritten] = []
    for parcel in parcels:
        letter = letters[parcel.claimed.attempt_id]
        try:
            packed.append(_outgoing(parcel, letter, files.get(letter.blob_id), us))
        except (Sealed, NotFound) as error:
            spoilt.append(Unwritten(parcel.claimed, unreadable(parcel.claimed.attempt_id, error)))
    return packed, spoilt


def _outgoing(parcel: Parcel, letter: ToPost, file: SealedFile | None, us: tuple[str, PostalAddress]) -> Outgoing:
    if file is None or parcel.address is None:
        raise NotFound("unknown-file", "A part of this letter is missing.")
    pdf = file.open(parcel.cipher)
    post = Post(
        pdf=pdf,
        name=" ".join(parcel.name.split()),
        address=parcel.address,
        sender=us[0],
        return_address=us[1],
        service=letter.service,
        withdrawn=letter.withdrawn,
    )
    return Outgoing(parcel, Message(parcel.agency_id, parcel.claimed.attempt_id, "", "", post=post), pdf)
