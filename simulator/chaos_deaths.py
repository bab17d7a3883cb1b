"""Which processes of the chaos trial ended though nobody killed them, and which of these may.

Decided here: none may, but for one kind. A process of a centre on PostgreSQL that starts while the database is away, or
comes back from a kill, says so in one line and ends; whoever started it starts it again (`sync.central.store_trouble`).
One that had begun asks the database again and goes on, and a device's processes have no database.
"""

from __future__ import annotations

from dataclasses import dataclass

RECOVERS_S = 30.0  # a database that was killed reads its log before it takes anybody
SAYS = "vedette: "
CRASHES = "Traceback"


@dataclass(frozen=True, kw_only=True, slots=True)
class Death:
    """A process that ended by itself, and the last lines of its log."""

    name: str
    words: str

    def may_be(self, *, is_of_centre: bool, database_away_s: float | None) -> bool:
        """Whether it ended as it should; `database_away_s` is how long ago the database was last away, None: never."""
        if not is_of_centre or database_away_s is None or database_away_s > RECOVERS_S:
            return False
        return any(line.startswith(SAYS) for line in self.words.splitlines()) and CRASHES not in self.words

    @property
    def text(self) -> str:
        """In words, for a person who looks for the reason."""
        said = "\n".join(f"    {line}" for line in self.words.splitlines())
        return f"{self.name} ended by itself; its log ends so:\n{said or '    (it said nothing)'}"
