"""A server that does everything a Realtime server may do, in any order it may do it; for tests.

A model of the protocol's rules, not of a call: no clock and no audio. `choices()` gives what it
could do next, a test picks one at random. It keeps its own book of what was said, to be compared
with what the client understood, and of what it had to refuse.
"""

from __future__ import annotations

from random import Random

import said

from rtcvoice import events as e


class Making:
    """A response in progress: what is still to be said of it."""

    def __init__(self, response_id, steps, *, outside=False):
        self.id = response_id
        self.steps = steps
        self.outside = outside
        self.speaks = False
        self.open = {}  # message id -> (words said so far, previous, index, has content)


class TalkativeServer:
    def __init__(self, random: Random):
        self.random = random
        self.out = []  # events on their way to the client
        self.chain = []
        self.texts = {}  # what was said, by item
        self.refused = []  # codes
        self.made = []  # (response id, tag or None, why)
        self.default = None
        self.outside = []
        self.queue = []  # responses whose audio waits or plays: [id, state, item ids]
        self.speaking = None
        self.owed = False
        self.transcripts = {}  # item -> events to come
        self.calls = {}  # call_id -> response id
        self.outputs = {}
        self.answered_groups = []
        self.follow_ups = 0
        self.numbers = iter(range(10**6))
        self.say(said.session())

    def say(self, *events):
        self.out += events

    def new(self, kind):
        return f"{kind}_{next(self.numbers)}"

    @property
    def previous(self):
        return self.chain[-1] if self.chain else None

    def words(self):
        count = self.random.randint(1, 4)
        return " ".join(
            self.random.choice(["yes", "no", "well", "and", "so"]) for _ in range(count)
        )

    # -- what it may do next --------------------------------------------------------------------

    def choices(self, *, user=True):
        """The moves that are possible now; `user`: including those of the user's voice."""
        moves = []
        if user and self.speaking is None:
            moves.append(self.start_speaking)
        if self.speaking is not None:
            moves.append(self.stop_speaking)
        moves += [lambda i=i: self.transcribe(i) for i in self.transcripts]
        if self.owed and self.default is None:
            moves.append(self.answer_speech)
        moves += [lambda m=m: self.step(m) for m in [self.default, *self.outside] if m]
        if self.queue and self.queue[0][1] == "waiting":
            moves.append(self.start_playing)
        if self.queue and self.queue[0][1] == "playing" and self.is_over(self.queue[0][0]):
            moves.append(self.stop_playing)
        return moves

    @property
    def quiet(self):
        return not self.choices(user=False)

    def is_over(self, response_id):
        return not any(m and m.id == response_id for m in [self.default, *self.outside])

    # -- the user's voice -----------------------------------------------------------------------

    def start_speaking(self):
        self.speaking = self.new("user")
        self.owed = False
        self.say(e.InputAudioBufferSpeechStarted(audio_start_ms=0, item_id=self.speaking))
        playing, made = self.clear("turn_detected")
        self.merge(playing, made)

    def stop_speaking(self):
        item_id, self.speaking = self.speaking, None
        self.say(e.InputAudioBufferSpeechStopped(audio_end_ms=9, item_id=item_id))
        self.say(*said.committed(item_id, self.previous))
        self.chain.append(item_id)
        self.texts[item_id] = text = self.words()
        outcome = self.random.random()
        if outcome < 0.7:
            self.transcripts[item_id] = said.transcribed(item_id, text)
        else:
            self.texts[item_id] = ""
            if outcome < 0.9:
                self.transcripts[item_id] = [said.not_transcribed(item_id)]
        self.owed = True

    def transcribe(self, item_id):
        self.say(self.transcripts[item_id].pop(0))
        if not self.transcripts[item_id]:
            del self.transcripts[item_id]

    def answer_speech(self):
        self.owed = False
        self.begin(None, None)

    # -- responses ------------------------------------------------------------------------------

    def begin(self, tag, why, *, outside=False):
        response = Making(self.new("resp"), iter(()), outside=outside)
        self.made.append((response.id, tag, why))
        metadata = {"rtcvoice": tag} if tag else None
        self.say(
            said.created(response.id, metadata=metadata, conversation=None if outside else "conv_1")
        )
        response.steps = self.script(response)
        if outside:
            self.outside.append(response)
        else:
            self.default = response

    def script(self, response):
        """Yield after each event of the response; its items interleave."""
        kinds = ["message"]
        if not response.outside and self.random.random() < 0.4 and self.follow_ups < 3:
            kinds = self.random.choice(
                [["message", "call"], ["call"], ["message", "call", "call"], ["call", "call"]]
            )
            self.follow_ups += 1
        elif self.random.random() < 0.15:
            kinds = ["message", "message"]
        running = []
        for index, kind in enumerate(kinds):
            running.append(getattr(self, kind)(response, index))
            next(running[-1])  # announced in order
            yield
            if self.random.random() < 0.5:
                yield from self.some(running)
        while running:
            yield from self.some(running)
        self.finish(response, "completed")

    def some(self, running):
        one = self.random.choice(running)
        try:
            next(one)
            yield
        except StopIteration:
            running.remove(one)

    def message(self, response, index):
        item_id = self.new("item")
        text = self.words()
        steps = said.message_steps(
            response.id,
            item_id,
            text,
            self.previous,
            index=index,
            in_conversation=not response.outside,
        )
        if not response.outside:
            self.chain.append(item_id)
        response.open[item_id] = [
            [],
            steps[1].previous_item_id if not response.outside else None,
            index,
        ]
        self.texts[item_id] = ""
        for step in steps:
            if isinstance(step, e.ResponseOutputItemDone):
                del response.open[item_id]
            self.say(step)
            if isinstance(step, e.ResponseOutputAudioTranscriptDelta):
                self.texts[item_id] += step.delta
                response.open[item_id][0].append(step.delta)
                self.queue_audio(response, item_id)
            if not isinstance(step, e.ResponseOutputItemAdded):  # `added` comes with the item's
                yield

    def queue_audio(self, response, item_id):
        if response.outside:
            return
        entry = next((entry for entry in self.queue if entry[0] == response.id), None)
        if entry is None and not response.speaks:
            response.speaks = True
            entry = [response.id, "waiting", []]
            self.queue.append(entry)
        if entry is not None and item_id not in entry[2]:
            entry[2].append(item_id)

    def call(self, response, index):
        item_id = self.new("fc")
        steps = said.call_steps(response.id, item_id, self.previous, index=index)
        self.chain.append(item_id)
        for step in steps:
            self.say(step)
            if isinstance(step, e.ResponseOutputItemDone):
                self.calls[f"call_{item_id}"] = response.id
            if not isinstance(step, e.ResponseOutputItemAdded | e.ConversationItemDone):
                yield

    def step(self, response):
        next(response.steps, None)

    def finish(self, response, status, reason=None):
        self.say(said.done(response.id, status, reason=reason))
        if response is self.default:
            self.default = None
        else:
            self.outside.remove(response)

    def cut(self, reason):
        """The events that end the response in progress."""
        response, self.default = self.default, None
        events = []
        for item_id, (deltas, previous, index) in response.open.items():
            text = "".join(deltas)
            cut = said.message(item_id, text, status="incomplete")
            events.append(e.ConversationItemDone(item=cut, previous_item_id=previous))
            events.append(
                e.ResponseOutputItemDone(response_id=response.id, output_index=index, item=cut)
            )
        return [*events, said.done(response.id, "cancelled", reason=reason)]

    # -- playing --------------------------------------------------------------------------------

    def start_playing(self):
        self.queue[0][1] = "playing"
        self.say(said.started(self.queue[0][0]))

    def stop_playing(self):
        self.say(said.stopped(self.queue.pop(0)[0]))

    def clear(self, reason=None):
        """Drop the audio; with a reason stop the response too. Returns both kinds of events."""
        playing = []
        for response_id, state, items in self.queue:
            if state == "playing":
                playing.append(said.cleared(response_id))
            playing += [said.truncated(item_id, 500) for item_id in items]
        self.queue.clear()
        return playing, self.cut(reason) if reason and self.default else []

    def merge(self, first, second):
        while first or second:
            source = first if first and (not second or self.random.random() < 0.5) else second
            self.say(source.pop(0))

    # -- commands -------------------------------------------------------------------------------

    def refuse(self, code, event):
        self.refused.append(code)
        self.say(said.error(code, event.event_id))

    def receive(self, event):
        match event:
            case e.ConversationItemCreate():
                item = event.item
                self.say(*said.item_in(item, self.previous))
                self.chain.append(item.id)
                if isinstance(item, e.Message):
                    self.texts[item.id] = item.content[0].text
                else:
                    assert item.call_id in self.calls, "an output without a call"
                    assert item.call_id not in self.outputs, "answered twice"
                    self.outputs[item.call_id] = item.output
            case e.ResponseCreate():
                outside = event.response.conversation == "none"
                if self.default is not None and not outside:
                    self.refuse("conversation_already_has_active_response", event)
                else:
                    self.begin(event.response.metadata["rtcvoice"], event, outside=outside)
            case e.ResponseCancel() if self.default is None:
                self.refuse("response_cancel_not_active", event)
            case e.ResponseCancel():
                self.say(*self.cut("client_cancelled"))
            case e.OutputAudioBufferClear():
                self.say(*self.clear()[0])
            case _:
                raise AssertionError(event)
