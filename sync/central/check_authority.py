"""What the audit asks about the centre's authority: that it lasts, and that the next one is let in."""

from __future__ import annotations

from sync.central import succession
from sync.central.check import Broker, Trial
from sync.central.greeting import context_for
from vedette.clock import iso


def _lasts(broker: Broker) -> tuple[bool, str]:
    now_us = broker.clock.utc_us()
    ends_us = succession.ends_us(broker.keys)
    is_prepared = succession.next_authority(broker.keys) is not None
    days = succession.days_left(broker.keys, now_us)
    seen = f"it ends on {iso(ends_us)[:10]}, in {days} days; the next one is {'' if is_prepared else 'not '}prepared"
    return is_prepared or days >= succession.WARN_DAYS, seen


def _next_is_let_in(broker: Broker) -> tuple[bool, str]:
    coming = succession.next_authority(broker.keys)
    if coming is None:
        return True, "there is no next authority"
    issued = coming.issue_client(broker.device, broker.clock.utc_us())
    answer = broker.greet(context_for(succession.trusted(broker.keys), issued), broker.device)
    return answer.is_in, "let in" if answer.is_in else f"refused: {answer.why or answer.code}"


AUTHORITY = (
    Trial(
        name="authority-lasts",
        asked=f"the authority lasts {succession.WARN_DAYS} days or more, or the next one is prepared",
        run=_lasts,
        advice="`vedette central authority CENTRAL --prepare` while every device still comes by; nobody visits them",
        is_must=False,
    ),
    Trial(
        name="next-authority",
        asked="a certificate of the next authority is let in",
        run=_next_is_let_in,
        advice="the listener's CA file must be keys/authorities.pem and its list keys/crl.pem as they are now",
    ),
)
