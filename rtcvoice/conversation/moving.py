"""A conversation moves to another session, which is given what was said, as it was heard.

    move = Move(conversation, leg)     the new leg's events go to `move.receive` from now on
    await move.ready(changes)          its session is there, and as it shall be
    await move.seed()                  the conversation so far is in
    await move.catch_up()              and so is what ended meanwhile, if the old leg goes on
    move.take_over(words)              synchronous: from now on the conversation lives here
    await move.finish()                what the user said in the gap is in, and will be answered

The same serves a leg that was lost (`conversation.leave` has ended what was under way) and one that
still talks. Nothing of it is seen by the user: the events of the new session reach nobody until
`take_over`, and then the items that were given to it are no news.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import msgspec

from rtcvoice import events
from rtcvoice.errors import CallEnded, ConfigError, RtcVoiceError, ServerError, one_line
from rtcvoice.events import Session
from rtcvoice.masking import log_error
from rtcvoice.sound.samples import Samples

from .accounts.usage import TokenCounts
from .asking.commands import session_update
from .asking.confirmations import Confirmations, new_id
from .asking.content import audio_messages, following_ids
from .gap_words import GapWords
from .ports import Sender
from .road import CallConversation
from .speaking import SpeechOutput
from .state.records import Record
from .state.replay import GO_ON, Replay, ReplayReport, replay, short_id
from .state.session_updates import merged
from .state.taken_over import TakenOver

__all__ = ["Move"]

logger = logging.getLogger(__name__)

LONGEST_CONNECTING = 60.0
"""Seconds that a connection may take whose session begins as it was before."""

_LEFT = CallEnded("this session is no longer wanted", normal=False)


class Move:
    """One new session that is being prepared. Event loop only.

    kept_audio: the sound of a user's turn without a transcript, int16 mono at 24 kHz, by its id.
    max_items, max_tokens: how much is given to the new session; the oldest is left out.
    """

    def __init__(
        self,
        conversation: CallConversation,
        sender: Sender,
        *,
        kept_audio: Callable[[str], Samples | None] = lambda item_id: None,
        max_items: int = 200,
        max_tokens: int = 16_000,
    ) -> None:
        self._conversation = conversation
        self._sender = sender
        self._kept_audio = kept_audio
        self._max_items = max_items
        self._max_tokens = max_tokens
        self._confirmations = Confirmations(lambda: sender.progress)
        self._confirmations.tells_items = conversation.tells_items
        # What was changed while its connection was made may have come too late for it.
        self._updated_at = conversation.now - LONGEST_CONNECTING
        self._session: Session | None = None
        self._session_known = asyncio.Event()
        self._taken = TakenOver(conversation.state.items)
        self._had: set[str] = set()
        self._dropped: set[str] = set()
        self._given: list[str] = []  # our ids of what is in the session, in order
        self._speaks = self._note_given = False
        self._over = False
        self._words = GapWords(conversation, sender)

    # -- what it is -----------------------------------------------------------------------------

    @property
    def session_id(self) -> str:
        """The server's id of the new session, cleaned; empty while there is none."""
        return one_line((self._session and self._session.id) or "", 200)

    @property
    def tokens(self) -> TokenCounts:
        """What the new session has to read anew, estimated: its cache is empty."""
        planned = self._plan()
        return TokenCounts(
            input_text=planned.text_tokens,
            input_audio=planned.audio_tokens,
            input_image=planned.image_tokens,
        )

    @property
    def cost(self) -> float | None:
        """US dollars of what is yet to be given to the session, with the first response.

        An estimate; None where the model's price is unknown.
        """
        return self._conversation.accounts.cost_of(self.tokens)

    @property
    def affordable(self) -> bool:
        """Whether that stays within the call's `Limits`."""
        return self._conversation.accounts.can_afford(self.tokens)

    @property
    def report(self) -> ReplayReport:
        """How much of the conversation the session has."""
        return ReplayReport(replayed=len(self._had), dropped=len(self._dropped))

    @property
    def caught_up(self) -> bool:
        """Whether the session has all of the conversation that it is to have."""
        everything = self._settled() == list(self._conversation.state.items)
        return everything and not self._plan().items

    # -- the new session ------------------------------------------------------------------------

    def receive(self, text: str) -> None:
        """Take a message of the new leg's server; cannot raise."""
        if self._over:
            self._conversation.receive(text)
            return
        try:
            self._feed(events.decode(text))
        except Exception as exc:
            log_error(logger, exc, "x handling an event failed")

    async def ready(self, changes: dict[str, Any] | None = None) -> None:
        """Wait until the session's configuration is known, and then make `changes` to it.

        Raises ServerError when they are refused, TransportError, CallEnded.
        """
        await self._session_known.wait()
        if self._confirmations.ended is not None:
            raise self._confirmations.ended.again()
        if changes:
            kind = "transcription" if self._conversation.state.transcription_only else "realtime"
            update = session_update(changes, kind=kind, event_id=new_id())
            await self._confirmations.confirm(update, self._send, what="the change")
            if merged(changes, self._conversation.session_updates) == changes:
                self._updated_at = self._conversation.now  # none of those is missing

    async def seed(self) -> None:
        """Give the conversation so far to the session, as it was heard, and wait until it is in.

        What is refused is left out and counted. Raises TransportError, CallEnded.
        """
        planned = self._plan()
        if planned.items:
            logger.info(
                "= another session is given %d items, about %d tokens%s",
                len(planned.items),
                planned.tokens,
                "" if self.cost is None else f", US$ {self.cost:.4f}",
            )
        await self._create(planned)
        if self._speaks and not self._note_given:
            self._note_given = True
            note = events.Message(id=new_id(), role="system", content=[_input_text(GO_ON)])
            await self._add([note])

    async def catch_up(self) -> None:
        """Give it what ended meanwhile, and take out what was deleted. Raises as `seed` does."""
        for command in self._corrections():
            if isinstance(command, events.SessionUpdate):
                await self._confirmations.confirm(command, self._send, what="the change")
            else:
                self._send(command)
        await self._create(self._plan())

    def take_over(self, words: Samples | None = None, speech: SpeechOutput | None = None) -> None:
        """Let the conversation live in this session from now on; the old leg is left, if need be.

        words: what the user said since `unconfirmed_since`, int16 mono at 24 kHz: of that the
            newest 30 s are given to the session by `finish`, if anybody speaks in them, and if the
            server answers speech by itself or the user holds the key.
        speech: where answers' audio is to go that comes in events; None where it has packets.
        """
        conversation = self._conversation
        conversation.leave(_LEFT)
        self._give_the_rest()
        self._words.take(words)
        self._over = True
        self._confirmations.end(_LEFT)
        self._taken.lack_calls(self._had)
        conversation.state.items.live_in(self._given)
        if self._speaks and conversation.state.speaks:
            conversation.state.sequencer.modalities = ["audio"]
        conversation.take_over(self._sender, self._taken, self._session, speech)

    async def finish(self, *, patience: float = 0.0) -> None:
        """Put the words from the gap into the conversation; they are answered like speech, once:
        not for `patience` seconds, in which the server may hear that the user goes on speaking.

        Never raises for what the server does; await it after `take_over`.
        """
        await self._words.put(patience=patience)

    def abandon(self, reason: CallEnded) -> None:
        """Let nobody wait for this session any more: its leg is gone, or the call is."""
        self._confirmations.end(reason)
        self._session_known.set()

    # -- inside ---------------------------------------------------------------------------------

    def _feed(self, event: Any) -> None:
        if isinstance(event, events.SessionCreated | events.SessionUpdated):
            self._session = event.session
            self._session_known.set()
        elif isinstance(event, events.UnknownEvent) and event.type == events.SessionCreated.type:
            self._session_known.set()
        elif isinstance(event, events.ConversationItemAdded | events.ConversationItemCreated):
            given = self._taken.given_id(event.item.id or "")
            self._given.append(self._taken.our_id(given))
            event = events.ConversationItemAdded(item=_named(event.item, given))
        elif isinstance(event, events.ConversationItemDeleted):
            ours = self._taken.our_id(event.item_id)
            self._given = [given for given in self._given if given != ours]
        elif isinstance(event, events.ErrorEvent):
            logger.warning("x in the new session: %s", one_line(event.error.message or ""))
        self._confirmations.feed(event)

    def _corrections(self) -> list[events.ClientEvent]:
        """Return what takes out of the session what was deleted, and changes it as was changed."""
        conversation = self._conversation
        gone = [i for i in self._had if conversation.state.items.get(i) is None]
        self._had.difference_update(gone)
        commands: list[events.ClientEvent] = [
            events.ConversationItemDelete(event_id=new_id(), item_id=short_id(item_id))
            for item_id in gone
        ]
        if conversation.session_updated_at > self._updated_at:
            self._updated_at = conversation.session_updated_at
            kind = "transcription" if conversation.state.transcription_only else "realtime"
            changes = conversation.session_updates
            commands.append(session_update(changes, kind=kind, event_id=new_id()))
        return commands

    def _give_the_rest(self) -> None:
        """Send what is missing yet, as far as the leg takes it; `TakenOver` sees it confirmed."""
        rest = self._plan()
        self._note(rest)
        creations = [self._creation(item) for item in rest.items]
        try:
            for command in (*self._corrections(), *creations):
                self._send(command)
        except RtcVoiceError as exc:  # another leg will have all of it
            logger.warning("x the end of the conversation was not sent: %s", exc)

    def _send(self, event: Any) -> None:
        self._sender.send(events.encode(event))
        self._confirmations.sent(event)

    def _settled(self) -> list[Record]:
        """Return the records up to the first one that may still change."""
        settled = []
        for record in self._conversation.state.items:
            turn = record.role in ("user", "assistant") and record.kind in ("", "message")
            if turn and not (record.published or record.seeded or record.empty):
                break
            settled.append(record)
        return settled

    def _plan(self) -> Replay:
        state = self._conversation.state
        if state.transcription_only:  # nobody answers there, so nothing need be known
            return Replay()
        missing = [r for r in self._settled() if r.id not in self._had]
        outputs = {r.other.get("call_id") for r in missing if r.kind == "function_call_output"}
        candidates = [
            r
            for r in missing
            if r.id not in self._dropped
            or (r.kind == "function_call" and r.other.get("call_id") in outputs)
        ]
        return replay(
            candidates,
            heard_text=state.playback.heard_text,
            speech=self._speech,
            max_items=max(0, self._max_items - len(self._had)),
            max_tokens=self._max_tokens,
        )

    def _speech(self, item_id: str) -> Sequence[events.Item]:
        samples = self._kept_audio(item_id)
        if samples is None:
            return ()
        try:
            names = following_ids(short_id(item_id), new_id)
            return audio_messages(names, samples, limit=self._sender.message_limit)
        except ConfigError:  # shorter than the API takes
            return ()

    def _note(self, planned: Replay) -> None:
        """Take what is planned for done: the session has it, or will in a moment."""
        by_id = {record.id: record for record in self._conversation.state.items}
        for record_id in planned.records:
            record = by_id[record_id]
            self._taken.name(record_id, short_id(record_id))
            if call_id := record.other.get("call_id"):
                self._taken.name_call(call_id, short_id(call_id))
            self._speaks |= record.role == "assistant"
        self._had |= set(planned.records)
        self._dropped |= set(planned.dropped)

    def _creation(self, item: events.Item) -> events.ConversationItemCreate:
        self._taken.expect(item.id or "")
        return events.ConversationItemCreate(event_id=new_id(), item=item)

    async def _create(self, planned: Replay) -> None:
        self._note(planned)
        for item_id in await self._add(list(planned.items)):
            refused = next((r for r in planned.records if short_id(r) == item_id), None)
            if refused is not None:
                self._had.discard(refused)
                self._dropped.add(refused)

    async def _add(self, items: list[events.Item]) -> list[str]:
        """Create items and wait until they are in; return the ids of those that were refused."""
        refused: list[str] = []
        replies: deque[tuple[str, asyncio.Future[Any]]] = deque()
        with ExitStack() as expected:
            for item in items:
                await self._confirmations.wait_for_space()
                creation = self._creation(item)
                reply = expected.enter_context(self._confirmations.expecting(creation))
                replies.append((item.id or "", reply))
                self._send(creation)
            for item_id, reply in replies:
                try:
                    await self._confirmations.item_in(reply, "the conversation so far")
                except ServerError as exc:
                    logger.warning("x an item of the conversation is left out: %s", exc)
                    self._taken.forget(item_id)
                    refused.append(item_id)
        return refused


def _input_text(text: str) -> events.ContentPart:
    return events.ContentPart(type="input_text", text=text)


def _named(item: Any, item_id: str) -> Any:
    return item if item.id == item_id else msgspec.structs.replace(item, id=item_id)
