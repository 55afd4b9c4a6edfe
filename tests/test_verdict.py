"""Win rates and their Wilson intervals."""

import pytest

from rlr_core.verdict import Verdict, wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Reference values: Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_equals_published_values(successes, trials, low, high):
    assert wilson_interval(successes, trials) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_no_question_tells_nothing():
    verdict = Verdict(0, 0, 0)
    assert (verdict.win_rate, verdict.interval, verdict.conclusion) == (0.5, (0.0, 1.0), "no difference yet")


def test_ties_count_half_for_each():
    assert Verdict(3, 1, 4).win_rate == pytest.approx(5 / 8)


def test_a_conclusion_needs_an_interval_without_one_half():
    assert Verdict(30, 6, 0).conclusion == "better"
    assert Verdict(6, 30, 0).conclusion == "worse"
    assert Verdict(20, 16, 0).conclusion == "no difference yet"


@pytest.mark.parametrize(("wins", "losses", "ties"), [(7, 3, 0), (12, 8, 1), (3, 9, 4), (1, 0, 0), (30, 20, 5)])
def test_so_many_further_answers_would_tell(wins, losses, ties):
    verdict = Verdict(wins, losses, ties)
    needed, rate = verdict.num_needed, verdict.win_rate

    def tells(further):
        low, high = wilson_interval(rate * (verdict.num_questions + further), verdict.num_questions + further)
        return low > 0.5 or high < 0.5

    assert needed > 0
    assert tells(needed)
    assert not tells(needed - 1)


def test_no_number_of_answers_is_promised_where_there_is_no_advantage():
    assert [Verdict(0, 0, 0).num_needed, Verdict(10, 10, 0).num_needed, Verdict(26, 24, 0).num_needed] == [None, None, None]
    assert Verdict(30, 6, 0).num_needed == 0
