"""How often something may be done: so many at once, then so many a minute, counted for each client by itself."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

# Clients remembered; the one that was quiet longest is forgotten first, and by then has all its allowance back or is one of a flood.
MOST_CLIENTS = 10_000


@dataclass(frozen=True)
class Rate:
    """`burst` at once, `per_minute` in the long run; both far above what a person does."""

    burst: float
    per_minute: float


class Meter:
    """One rate, kept by every client (a token bucket each)."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._changing = threading.Lock()

    def seconds_to_wait(self, client: str, amount: float = 1.0) -> float:
        """Take `amount` from the client's allowance and return 0; or take nothing, and return the seconds until there is enough."""
        now, a_second = self._clock(), self.rate.per_minute / 60
        with self._changing:
            left, then = self._left.pop(client, (self.rate.burst, now))
            left = min(self.rate.burst, left + (now - then) * a_second)
            is_enough = left >= amount
            self._left[client] = (left - amount if is_enough else left, now)
            if len(self._left) > MOST_CLIENTS:
                self._left.popitem(last=False)
        return 0.0 if is_enough else (amount - left) / a_second
