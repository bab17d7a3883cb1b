"""`vedette custody timeline CENTRAL`: the same account of a shift, straight from a centre's rows.

Decided here: nothing but that the verb `timeline`, which the contract has, can read a centre where there is one.
"""

from __future__ import annotations

from sync.central.shift import read_centre
from vedette import cli


def register(nouns: cli.Nouns) -> None:
    """Let the verb `timeline` of the noun `custody` read the folder of a centre."""
    verbs = cli.noun(nouns, "custody", help="check and read custody journals")
    verbs.choices["timeline"].set_defaults(centre=read_centre)
