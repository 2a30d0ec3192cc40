"""Builds what a server says, event by event, for tests of the conversation."""

from __future__ import annotations

from rtcvoice import events as e

COMPLETED = "completed"


def session(
    turn_detection=True, *, transcription=True, modality="audio", kind="realtime", **detection
):
    """`session.created` of a session with or without turn detection and transcription."""
    vad = e.TurnDetection(type="server_vad", **detection) if turn_detection else None
    audio_in = e.AudioInputConfig(
        turn_detection=vad,
        transcription=e.TranscriptionConfig(model="m") if transcription else None,
    )
    return e.SessionCreated(
        session=e.Session(
            type=kind, output_modalities=[modality], audio=e.AudioConfig(input=audio_in)
        )
    )


def user_item(item_id, text=None):
    part = {"type": "input_audio"} if text is None else {"type": "input_text", "text": text}
    return e.Message(id=item_id, role="user", status=COMPLETED, content=[e.ContentPart(**part)])


def item_in(item, previous=None):
    """The two events that put a finished item into the conversation."""
    return [
        e.ConversationItemAdded(item=item, previous_item_id=previous),
        e.ConversationItemDone(item=item, previous_item_id=previous),
    ]


def user_text(item_id, text, previous=None):
    return item_in(user_item(item_id, text), previous)


def spoken(item_id, previous=None):
    """A turn of the user that turn detection found, without its transcript."""
    return [
        e.InputAudioBufferSpeechStarted(audio_start_ms=0, item_id=item_id),
        e.InputAudioBufferSpeechStopped(audio_end_ms=900, item_id=item_id),
        *committed(item_id, previous),
    ]


def committed(item_id, previous=None):
    return [
        e.InputAudioBufferCommitted(item_id=item_id, previous_item_id=previous),
        *item_in(user_item(item_id), previous),
    ]


def transcribed(item_id, text):
    words = text.split(" ")
    deltas = [word if not n else f" {word}" for n, word in enumerate(words)]
    return [
        *(
            e.ConversationItemInputAudioTranscriptionDelta(
                item_id=item_id, content_index=0, delta=delta
            )
            for delta in deltas
        ),
        e.ConversationItemInputAudioTranscriptionCompleted(
            item_id=item_id, content_index=0, transcript=text
        ),
    ]


def not_transcribed(item_id):
    return e.ConversationItemInputAudioTranscriptionFailed(
        item_id=item_id, content_index=0, error=e.FailureDetail(message="unintelligible")
    )


def created(response_id, *, metadata=None, conversation="conv_1"):
    return e.ResponseCreated(
        response=e.RealtimeResponse(
            id=response_id,
            status="in_progress",
            output=[],
            conversation_id=conversation,
            metadata=metadata,
        )
    )


def done(response_id, status=COMPLETED, *, reason=None, message=None, output=(), usage=None):
    details = None
    if status != COMPLETED:
        error = e.FailureDetail(message=message) if message else None
        details = e.StatusDetails(type=status, reason=reason, error=error)
    return e.ResponseDone(
        response=e.RealtimeResponse(
            id=response_id,
            status=status,
            status_details=details,
            output=list(output),
            conversation_id="conv_1",
            usage=usage,
        )
    )


def message(item_id, text, *, audio=True, status=COMPLETED, phase=None):
    content = []
    if status != "in_progress":
        kind, key = ("output_audio", "transcript") if audio else ("output_text", "text")
        content = [e.ContentPart(type=kind, **{key: text})]
    return e.Message(id=item_id, role="assistant", status=status, content=content, phase=phase)


def message_steps(
    response_id,
    item_id,
    text,
    previous,
    *,
    index=0,
    audio=True,
    phase=None,
    until=None,
    in_conversation=True,
):
    """The ladder of one message; `until` words, if given, then it is cut off."""
    where = {
        "response_id": response_id,
        "item_id": item_id,
        "output_index": index,
        "content_index": 0,
    }
    words = text.split(" ")
    deltas = [word if not n else f" {word}" for n, word in enumerate(words)][:until]
    said = "".join(deltas)
    status = COMPLETED if until is None else "incomplete"
    begun = message(item_id, "", status="in_progress", phase=phase)
    final = message(item_id, said, audio=audio, status=status, phase=phase)
    delta = e.ResponseOutputAudioTranscriptDelta if audio else e.ResponseOutputTextDelta
    part = {"type": "audio", "transcript": ""} if audio else {"type": "text", "text": ""}
    steps = [e.ResponseOutputItemAdded(response_id=response_id, output_index=index, item=begun)]
    if in_conversation:
        steps.append(e.ConversationItemAdded(item=begun, previous_item_id=previous))
    steps.append(e.ResponseContentPartAdded(part=e.ContentPart(**part), **where))
    steps += [delta(delta=each, **where) for each in deltas]
    if audio:
        steps.append(e.ResponseOutputAudioDone(**where))
        steps.append(e.ResponseOutputAudioTranscriptDone(transcript=said, **where))
    else:
        steps.append(e.ResponseOutputTextDone(text=said, **where))
    if in_conversation:
        steps.append(e.ConversationItemDone(item=final, previous_item_id=previous))
    steps.append(e.ResponseOutputItemDone(response_id=response_id, output_index=index, item=final))
    return steps


def call_item(item_id, name, arguments, call_id, status=COMPLETED):
    return e.FunctionCall(
        id=item_id, name=name, arguments=arguments, call_id=call_id, status=status
    )


def call_steps(response_id, item_id, previous, *, name="f", arguments="{}", index=0):
    """The ladder of one function call, whose call_id is made from the item's id."""
    call_id = f"call_{item_id}"
    where = {"response_id": response_id, "item_id": item_id, "output_index": index}
    begun = call_item(item_id, name, "", call_id, "in_progress")
    final = call_item(item_id, name, arguments, call_id)
    return [
        e.ResponseOutputItemAdded(response_id=response_id, output_index=index, item=begun),
        e.ConversationItemAdded(item=begun, previous_item_id=previous),
        e.ResponseFunctionCallArgumentsDelta(call_id=call_id, delta=arguments, **where),
        e.ResponseFunctionCallArgumentsDone(
            call_id=call_id, name=name, arguments=arguments, **where
        ),
        e.ConversationItemDone(item=final, previous_item_id=previous),
        e.ResponseOutputItemDone(response_id=response_id, output_index=index, item=final),
    ]


def started(response_id):
    return e.OutputAudioBufferStarted(response_id=response_id)


def stopped(response_id):
    return e.OutputAudioBufferStopped(response_id=response_id)


def cleared(response_id):
    return e.OutputAudioBufferCleared(response_id=response_id)


def truncated(item_id, audio_end_ms):
    return e.ConversationItemTruncated(item_id=item_id, content_index=0, audio_end_ms=audio_end_ms)


def error(code, event_id=None, message="m"):
    return e.ErrorEvent(error=e.ErrorDetail(message=message, code=code, event_id=event_id))


def answer(response_id, item_id, text, previous, **options):
    """A whole spoken answer, up to `response.done`; playing starts after the first words."""
    steps = message_steps(response_id, item_id, text, previous, **options)
    playing = [started(response_id)] if options.get("audio", True) else []
    return [created(response_id), *steps[:4], *playing, *steps[4:], done(response_id)]
