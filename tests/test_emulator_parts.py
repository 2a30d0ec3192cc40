"""Small parts of the emulator's core: agenda, ids, outbox."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from rtcvoice.emulator.session.agenda import Agenda
from rtcvoice.emulator.session.ids import Ids, new_call_id, session_id
from rtcvoice.emulator.session.outputs import Close, Outbox, SendEvent, StopAudio


def test_timers_fire_in_order_and_see_the_callers_time():
    agenda, fired = Agenda(10.0), []
    agenda.after(2.0, lambda: fired.append(("b", agenda.now)))
    agenda.after(1.0, lambda: fired.append(("a", agenda.now)))
    agenda.after(2.0, lambda: fired.append(("c", agenda.now)))
    assert agenda.next_deadline() == 11.0
    agenda.run(11.5)
    assert fired == [("a", 11.5)]
    agenda.run(12.0)
    assert fired[1:] == [("b", 12.0), ("c", 12.0)]
    assert agenda.next_deadline() is None


def test_a_timer_may_set_the_next_and_both_are_due():
    agenda, fired = Agenda(0.0), []
    agenda.after(1.0, lambda: agenda.at(2.0, lambda: fired.append("late")))
    agenda.run(5.0)
    assert fired == ["late"]


def test_cancelled_timers_do_not_fire_and_time_never_goes_back():
    agenda, fired = Agenda(5.0), []
    timer = agenda.after(1.0, lambda: fired.append(1))
    timer.cancel()
    timer.cancel()
    agenda.run(3.0)
    assert agenda.now == 5.0
    agenda.run(9.0)
    assert fired == []
    assert not timer.pending


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 10), st.booleans()), max_size=30))
def test_everything_due_fires_once_in_order(plan):
    agenda, fired = Agenda(0.0), []
    for number, (when, cancelled) in enumerate(plan):
        timer = agenda.at(when, lambda when=when, number=number: fired.append((when, number)))
        if cancelled:
            timer.cancel()
    agenda.run(10.0)
    assert fired == sorted((w, n) for n, (w, cancelled) in enumerate(plan) if not cancelled)


def test_the_same_seed_gives_the_same_ids():
    first, second = Ids(Random(1)), Ids(Random(1))
    assert [first.item() for _ in range(5)] == [second.item() for _ in range(5)]
    assert len({first.event("error") for _ in range(100)}) == 100


def test_a_call_and_its_session_share_the_tail():
    call_id = new_call_id(Random(1))
    assert call_id.startswith("rtc_u2_")
    assert session_id(call_id) == "sess_u2_" + call_id[len("rtc_u2_") :]


def test_the_outbox_is_deaf_until_it_listens_and_dead_after_close():
    outbox = Outbox(Ids(Random(1)))
    outbox.send("error", error={})
    outbox.put(StopAudio())
    assert outbox.drain() == [StopAudio()]
    outbox.listening = True
    outbox.send("error", error={})
    outbox.put(Close("x"))
    outbox.send("error", error={})
    outputs = outbox.drain()
    assert [type(output) for output in outputs] == [SendEvent, Close]
    assert outbox.drain() == []
