"""How long silence may last before it counts as loss: RFC 6298's estimator, in microseconds."""

from __future__ import annotations

FIRST_RETRY_US = 5_000_000
LEAST_RETRY_US = 1_000_000
MOST_RETRY_US = 60_000_000


class RetryTime:
    """How long an answer may take before silence is taken for loss (RFC 6298's estimator), in microseconds."""

    def __init__(self) -> None:
        self.us = FIRST_RETRY_US
        self._mean_us: int | None = None
        self._spread_us = 0

    def measured(self, answer_us: int) -> None:
        """An answer to something sent exactly once took `answer_us`."""
        if self._mean_us is None:
            self._mean_us, self._spread_us = answer_us, answer_us // 2
        else:
            self._spread_us = (3 * self._spread_us + abs(self._mean_us - answer_us)) // 4
            self._mean_us = (7 * self._mean_us + answer_us) // 8
        self.us = min(MOST_RETRY_US, max(LEAST_RETRY_US, self._mean_us + 4 * self._spread_us))

    def silence(self) -> None:
        """Nothing came in time."""
        self.us = min(MOST_RETRY_US, self.us * 2)
