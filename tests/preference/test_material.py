import pytest
import torch

from rlr_core.preference.evidence import Answer, Ranking, Stars, Thumb, Upload, shifted
from rlr_core.preference.material import Material, joined
from rlr_core.rng import generator

FEATURES = torch.randn(40, 90, generator=generator(0, "features"))
EVIDENCE = (Answer(0, 1, "a", left="a"), Answer(0, 1, "a", left="a"), Ranking((3, 2), 1), Stars(2, 4), Thumb(1, True), Upload(4, False))
ONE = Material(FEATURES[:5], EVIDENCE, FEATURES[10:20])


@pytest.mark.parametrize("piece", EVIDENCE)
def test_shifted_evidence_says_the_same_of_pictures_further_down(piece):
    there = shifted(piece, 7)
    assert there.pictures == tuple(row + 7 for row in piece.pictures)
    assert shifted(there, -7) == piece


def same(one: Material, other: Material) -> bool:
    return one.evidence == other.evidence and torch.equal(one.features, other.features) and torch.equal(one.reference, other.reference)


def test_one_part_and_empty_parts_change_nothing():
    empty = Material(FEATURES[:0], (), FEATURES[:0])
    assert same(joined([ONE]), ONE)
    assert same(joined([ONE, empty]), ONE) and same(joined([empty, ONE]), ONE)


def test_every_part_speaks_of_its_own_pictures():
    other = Material(FEATURES[20:23], (Answer(1, 2, "b"), Stars(0, 2, rater="bea")), FEATURES[30:33])
    both = joined([ONE, other])
    assert both.evidence == (*EVIDENCE, Answer(6, 7, "b"), Stars(5, 2, rater="bea"))
    assert torch.equal(both.features[5:], FEATURES[20:23])
    assert torch.equal(both.reference, torch.cat([FEATURES[10:20], FEATURES[30:33]]))


def test_what_parts_have_in_common_counts_once():
    """A later export of the same session: its pictures lie elsewhere, one answer was added, and one was given a third time."""
    rows = [4, 3, 2, 1, 0]
    later = Material(
        FEATURES[rows],
        (Answer(4, 3, "a", left="a"), *(shifted(EVIDENCE[1], 0), Answer(4, 3, "a", left="a"), Answer(4, 3, "a", left="a"), Thumb(3, True))),
        FEATURES[12:22],
    )
    both = joined([ONE, later])
    # Row 4 of the later part is row 0 of the first: three times "a" in it, of which two are known; (0, 1) is another pair there.
    assert both.evidence == (*EVIDENCE, Answer(5, 6, "a", left="a"), Answer(9, 8, "a", left="a"))
    assert torch.equal(both.reference, FEATURES[10:22])


def test_another_persons_same_words_count():
    other = Material(FEATURES[:5], (Thumb(1, True, rater="bea"), Thumb(1, False)), FEATURES[10:20])
    assert joined([ONE, other]).evidence[len(EVIDENCE) :] == (Thumb(6, True, rater="bea"), Thumb(6, False))


def test_a_joined_fit_knows_what_both_parts_know():
    column, parts = 3, []
    for first in (0, 20):
        features = FEATURES[first : first + 20]
        winners = (features[:10, column] > features[10:, column]).tolist()
        evidence = tuple(Answer(row, row + 10, "a" if won else "b") for row, won in enumerate(winners))
        parts.append(Material(features, evidence, features))
    alone, together = parts[0].fit(), joined(parts).fit()
    assert together.num_answers == 20
    assert together.weights[column] > alone.weights[column] > 0
