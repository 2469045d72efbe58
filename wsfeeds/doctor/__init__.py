"""What `wsfeeds doctor` finds out: whether a feed can be reached from here, and if not, why.

It uses what a subscription uses: the same settings, the same REST conversation for the token, the
same session for the upgrade and the first event. `choice` says which feeds are worth it,
`diagnosis` goes through the checks of one, `network` looks at the way there, `trial` runs the
session, `mending` knows what to do about a failure, `reports` is what `--json` prints.
"""

from __future__ import annotations

from wsfeeds.doctor.choice import left_out
from wsfeeds.doctor.diagnosis import Diagnosis
from wsfeeds.doctor.reports import Check, DoctorReport, FeedChecked, LeftOut

__all__ = ["Check", "Diagnosis", "DoctorReport", "FeedChecked", "LeftOut", "left_out"]
