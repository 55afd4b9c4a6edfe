"""The token bucket, on a clock of its own."""

import pytest

from rlr_core.rate import MOST_CLIENTS, Meter, Rate


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_then_one_has_to_wait_as_long_as_it_says():
    clock = Clock()
    meter = Meter(Rate(burst=3, per_minute=30), clock)
    assert [meter.seconds_to_wait("ada") for _ in range(3)] == [0, 0, 0]
    assert meter.seconds_to_wait("ada") == pytest.approx(2.0)
    clock.now += 1.9
    assert meter.seconds_to_wait("ada") == pytest.approx(0.1)
    clock.now += 0.2
    assert meter.seconds_to_wait("ada") == 0
    assert meter.seconds_to_wait("ada") > 0


def test_each_client_has_an_allowance_of_its_own():
    meter = Meter(Rate(burst=1, per_minute=1), Clock())
    assert meter.seconds_to_wait("ada") == 0
    assert meter.seconds_to_wait("ada") > 0
    assert meter.seconds_to_wait("bob") == 0


def test_an_amount_counts_as_so_many():
    meter = Meter(Rate(burst=10, per_minute=60), Clock())
    assert meter.seconds_to_wait("ada", 8) == 0
    assert meter.seconds_to_wait("ada", 8) == pytest.approx(6.0)
    assert meter.seconds_to_wait("ada", 2) == 0


def test_nobody_saves_up_more_than_a_burst():
    clock = Clock()
    meter = Meter(Rate(burst=2, per_minute=60), clock)
    clock.now += 1e6
    assert [meter.seconds_to_wait("ada") > 0 for _ in range(3)] == [False, False, True]


def test_the_number_of_clients_remembered_is_bounded():
    meter = Meter(Rate(burst=1, per_minute=1), Clock())
    for number in range(MOST_CLIENTS + 10):
        meter.seconds_to_wait(str(number))
    assert len(meter._left) == MOST_CLIENTS
