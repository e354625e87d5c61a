"""What a finished run is measured by besides: the protocols, how those train that train, and what was done of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Parameters that train no run and change no number of another protocol: a finished run is measured further by them.
MEASURED_BY = PROTOCOLS, TUNING, TRANSFER_TO = "protocols", "tuning", "transfer_to"


def as_asked(record: Mapping[str, Any], tuning: str, transfer_to: str) -> bool:
    """Whether a protocol's record in ``results.json`` is of the training and of the sets that are asked for now.

    Protocols on frozen features name neither, and are always so.

    Args:
        record: of one protocol.
        tuning: as :func:`c2vl_lab.evaluate.tuning.tuning_by_name` takes it; "" and "default" are the same.
        transfer_to: the sets that the encoder is carried to.
    """
    told = record.get("settings", {})
    words = tuning.split()
    named = words if words and "=" not in words[0] else ["default", *words]
    same = told.get("settings", " ".join(named)) == " ".join(named)
    return same and told.get(TRANSFER_TO, transfer_to) == transfer_to
