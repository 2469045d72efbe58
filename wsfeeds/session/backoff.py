"""How long to wait before the next attempt (contract, section 4)."""

from __future__ import annotations

import random


class Backoff:
    """Doubling waits up to a cap, each drawn between half and all of it."""

    def __init__(
        self, initial: float, maximum: float, *, draw: random.Random | None = None
    ) -> None:
        """Start at `initial` seconds and never exceed `maximum`."""
        self._initial = initial
        self._maximum = maximum
        self._draw = draw or random.Random()  # noqa: S311  # jitter, not a secret
        self.failures = 0

    def next(self, *, at_least: float | None = None) -> float:
        """Count one more failure and return the seconds to wait, `at_least` where given."""
        self.failures += 1
        # The exponent is bounded before the power is taken: years of outage must not overflow.
        whole = min(self._initial * 2.0 ** min(self.failures - 1, 60), self._maximum)
        return max(self._draw.uniform(whole / 2, whole), at_least or 0.0)

    def reset(self) -> None:
        """Go back to the start: the connection has been healthy for long enough."""
        self.failures = 0
