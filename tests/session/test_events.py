"""Every kind of event survives JSON and the database."""

import json

import pytest

from rlr_core.session import events
from rlr_core.session.events import EVENTS, from_payload, to_payload

EXAMPLES = {
    "round_queued": events.RoundQueued("r"),
    "round_started": events.RoundStarted("r", 12),
    "update_done": events.UpdateDone("r", 1, 12, 0.25, 0.01, 1.5, 0.75, 2.5, {"first_order": 0.5, "half_order": 0.25}),
    "drift_alarm": events.DriftAlarm("r", 4, {"saturation": 0.48}, "Colours are 48% stronger."),
    "round_ended": events.RoundEnded("r", "budget_spent", "The round has moved as far as it may."),
    "model_ready": events.ModelReady("emoji"),
    "pairs_ready": events.PairsReady(("p", "q")),
    "pairs_ranked": events.PairsRanked(("q", "p")),
    "pictures_ready": events.PicturesReady("r", "before", ("i", "j")),
    "taste_fitted": events.TasteFitted(20, 3, None),
    "comparison_opened": events.ComparisonOpened("c"),
    "pushed": events.Pushed("r", "https://huggingface.co/someone/taste"),
    "work_done": events.WorkDone("Saving the session"),
    "failed": events.Failed("Pictures", "The disk is full."),
}


def test_there_is_an_example_of_every_kind():
    assert EXAMPLES.keys() == EVENTS.keys()


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_survives_json(kind):
    event = EXAMPLES[kind]
    stored_kind, payload = to_payload(event)
    assert stored_kind == kind
    assert from_payload(kind, json.loads(json.dumps(payload))) == event


def test_events_come_back_in_order_since_a_given_one(store, session):
    round_id = session.current_round_id
    written = [store.report(session.id, events.PicturesReady(round_id, "preview", (str(index),))) for index in range(5)]
    read = store.events(session.id)
    assert [from_payload(each.kind, each.payload) for each in read] == [from_payload(each.kind, each.payload) for each in written]
    assert [each.id for each in store.events(session.id, since=read[2].id)] == [each.id for each in read[3:]]
    assert store.events(session.id, since=read[-1].id) == ()
    assert all(each.round_id == round_id for each in read)


def test_events_can_be_asked_for_by_kind(store, session):
    store.report(session.id, events.PairsReady(("p",)))
    store.report(session.id, events.Failed("Pictures", "No."))
    assert [each.kind for each in store.events(session.id, kinds=("failed",))] == ["failed"]
    assert store.events(session.id, kinds=()) == ()


def test_the_last_event_of_a_kind(store, session):
    assert store.last_event(session.id, "pairs_ready") is None
    for ready in ("p", "q"):
        store.report(session.id, events.PairsReady((ready,)))
    store.report(session.id, events.Failed("Pictures", "No."))
    last = store.last_event(session.id, "pairs_ready")
    assert last is not None
    assert last.payload["pair_ids"] == ["q"]
    assert last == store.events(session.id, kinds=("pairs_ready",))[-1]


FAILED_PAIRS, FAILED_TASTE = events.Failed(events.ASKING, "No model."), events.Failed(events.FITTING, "No disk.")


@pytest.mark.parametrize(
    ("happened", "standing"),
    [
        ([], {}),
        ([FAILED_PAIRS], {events.ASKING: "No model."}),
        ([FAILED_PAIRS, events.Failed(events.ASKING, "No memory.")], {events.ASKING: "No memory."}),
        ([FAILED_PAIRS, EXAMPLES["pairs_ready"]], {}),
        ([EXAMPLES["pairs_ready"], FAILED_PAIRS], {events.ASKING: "No model."}),
        ([FAILED_PAIRS, FAILED_TASTE, EXAMPLES["taste_fitted"]], {events.ASKING: "No model."}),
        ([events.Failed(events.SAVING, "No disk."), events.WorkDone(events.EXPORTING)], {events.SAVING: "No disk."}),
        ([events.Failed(events.SAVING, "No disk."), events.WorkDone(events.SAVING)], {}),
        ([events.Failed(events.LOADING, "No model."), EXAMPLES["pairs_ready"]], {}),
    ],
)
def test_a_failure_stands_until_such_work_succeeds(happened, standing):
    assert events.standing_failures(happened) == standing


def test_events_of_another_session_stay_there(store, session):
    other = store.create_session("emoji", ("a pear",))
    store.report(other.id, events.Failed("Pictures", "No."))
    assert store.events(session.id) == ()
