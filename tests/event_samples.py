"""Events for tests: one spoken turn as a server sends it over WebRTC, and client events of each kind.

The turn has the order and the shapes of recorded traffic with invented values: session, a user's
turn found by server_vad, an audio response, its playback, an error, a truncation.
"""

# ruff: noqa: E501  (lines of the wire are as long as they are)

from __future__ import annotations

from rtcvoice import events

__all__ = ["CLIENT_SAMPLES", "TURN"]

# One event a line, as the wire has them.
TURN = tuple(
    r"""
{"event_id":"event_x1","type":"session.created","session":{"type":"realtime","object":"realtime.session","id":"sess_1","model":"gpt-realtime-2.1","output_modalities":["audio"],"instructions":"x","tools":[],"tool_choice":"auto","max_output_tokens":"inf","tracing":null,"truncation":"auto","prompt":null,"expires_at":1,"audio":{"input":{"format":{"type":"audio/pcm","rate":24000},"transcription":null,"noise_reduction":null,"turn_detection":{"type":"server_vad","threshold":0.5,"prefix_padding_ms":300,"silence_duration_ms":500,"idle_timeout_ms":null,"create_response":true,"interrupt_response":true}},"output":{"format":{"type":"audio/pcm","rate":24000},"voice":"marin","speed":1.0}},"include":null}}
{"event_id":"event_x2","type":"session.updated","session":{"type":"realtime","object":"realtime.session","id":"sess_1","model":"gpt-realtime-2.1","output_modalities":["audio"],"instructions":"x","tools":[],"tool_choice":"auto","max_output_tokens":"inf","tracing":null,"truncation":"auto","prompt":null,"expires_at":1,"audio":{"input":{"format":{"type":"audio/pcm","rate":24000},"transcription":null,"noise_reduction":null,"turn_detection":{"type":"server_vad","threshold":0.5,"prefix_padding_ms":300,"silence_duration_ms":500,"idle_timeout_ms":null,"create_response":true,"interrupt_response":true}},"output":{"format":{"type":"audio/pcm","rate":24000},"voice":"marin","speed":1.0}},"include":null}}
{"event_id":"event_x3","type":"input_audio_buffer.speech_started","audio_start_ms":1460,"item_id":"item_1"}
{"event_id":"event_x4","type":"input_audio_buffer.speech_stopped","audio_end_ms":4256,"item_id":"item_1"}
{"event_id":"event_x5","type":"input_audio_buffer.committed","previous_item_id":null,"item_id":"item_1"}
{"event_id":"event_x6","type":"conversation.item.added","previous_item_id":null,"item":{"id":"item_1","type":"message","status":"completed","role":"user","content":[{"type":"input_audio","transcript":null}]}}
{"event_id":"event_x7","type":"conversation.item.done","previous_item_id":null,"item":{"id":"item_1","type":"message","status":"completed","role":"user","content":[{"type":"input_audio","transcript":null}]}}
{"event_id":"event_x8","type":"response.created","response":{"object":"realtime.response","id":"resp_1","status":"in_progress","status_details":null,"output":[],"conversation_id":"conv_1","output_modalities":["audio"],"max_output_tokens":"inf","audio":{"output":{"format":{"type":"audio/pcm","rate":24000},"voice":"marin"}},"usage":null,"metadata":null}}
{"event_id":"event_x9","type":"response.output_item.added","response_id":"resp_1","output_index":0,"item":{"id":"item_2","type":"message","status":"in_progress","role":"assistant","content":[]}}
{"event_id":"event_x10","type":"conversation.item.added","previous_item_id":"item_1","item":{"id":"item_2","type":"message","status":"in_progress","role":"assistant","content":[]}}
{"event_id":"event_x11","type":"response.content_part.added","part":{"type":"audio","transcript":""},"response_id":"resp_1","item_id":"item_2","output_index":0,"content_index":0}
{"event_id":"event_x12","type":"response.output_audio_transcript.delta","delta":"Hi","obfuscation":"zz","response_id":"resp_1","item_id":"item_2","output_index":0,"content_index":0}
{"event_id":"event_x13","type":"output_audio_buffer.started","response_id":"resp_1"}
{"event_id":"event_x14","type":"response.output_audio_transcript.delta","delta":".","response_id":"resp_1","item_id":"item_2","output_index":0,"content_index":0}
{"event_id":"event_x15","type":"response.output_audio.done","response_id":"resp_1","item_id":"item_2","output_index":0,"content_index":0}
{"event_id":"event_x16","type":"response.output_audio_transcript.done","transcript":"Hi.","response_id":"resp_1","item_id":"item_2","output_index":0,"content_index":0}
{"event_id":"event_x17","type":"response.content_part.done","part":{"type":"audio","transcript":"Hi."},"response_id":"resp_1","item_id":"item_2","output_index":0,"content_index":0}
{"event_id":"event_x18","type":"conversation.item.done","previous_item_id":"item_1","item":{"id":"item_2","type":"message","status":"completed","role":"assistant","content":[{"type":"output_audio","transcript":"Hi."}]}}
{"event_id":"event_x19","type":"response.output_item.done","response_id":"resp_1","output_index":0,"item":{"id":"item_2","type":"message","status":"completed","role":"assistant","content":[{"type":"output_audio","transcript":"Hi."}]}}
{"event_id":"event_x20","type":"response.done","response":{"object":"realtime.response","id":"resp_1","status":"completed","status_details":null,"output":[{"id":"item_2","type":"message","status":"completed","role":"assistant","content":[{"type":"output_audio","transcript":"Hi."}]}],"conversation_id":"conv_1","output_modalities":["audio"],"max_output_tokens":"inf","audio":{"output":{"format":{"type":"audio/pcm","rate":24000},"voice":"marin"}},"usage":{"total_tokens":3,"input_tokens":1,"output_tokens":2,"input_token_details":{"text_tokens":1,"audio_tokens":0,"image_tokens":0,"cached_tokens":0,"cached_tokens_details":{"text_tokens":0,"audio_tokens":0,"image_tokens":0}},"output_token_details":{"text_tokens":1,"audio_tokens":1}},"metadata":null}}
{"event_id":"event_x21","type":"rate_limits.updated","rate_limits":[{"name":"tokens","limit":10,"remaining":9,"reset_seconds":0.1}]}
{"event_id":"event_x22","type":"output_audio_buffer.stopped","response_id":"resp_1"}
{"event_id":"event_x23","type":"error","error":{"type":"invalid_request_error","code":"response_cancel_not_active","message":"m","param":null,"event_id":null}}
{"event_id":"event_x24","type":"conversation.item.truncated","item_id":"item_2","content_index":0,"audio_end_ms":120}
""".strip().splitlines()
)

CLIENT_SAMPLES: tuple[events.ClientEvent, ...] = (
    events.SessionUpdate(
        session={
            "type": "realtime",
            "instructions": "",
            "tools": [],
            "audio": {
                "input": {"turn_detection": None, "noise_reduction": {"type": "near_field"}},
                "output": {"voice": {"id": "voice_1"}, "speed": 1.5},
            },
        },
        event_id="mine_1",
    ),
    events.SessionUpdate(
        session={
            "type": "transcription",
            "audio": {"input": {"transcription": {"model": "gpt-live-transcribe"}}},
        }
    ),
    events.ConversationItemCreate(
        item=events.Message(
            role="user",
            content=[
                events.ContentPart(type="input_text", text="Was ist das? \u00fc \U0001f600"),
                events.ContentPart(
                    type="input_image", image_url="data:image/png;base64,AA==", detail="low"
                ),
                events.ContentPart(type="input_audio", audio="AAAA"),
            ],
        ),
        previous_item_id="root",
    ),
    events.ConversationItemCreate(
        item=events.Message(
            role="system", content=[events.ContentPart(type="input_text", text="Be kind.")]
        )
    ),
    events.ConversationItemCreate(
        item=events.Message(
            role="assistant",
            id="item_mine",
            status="completed",
            content=[events.ContentPart(type="output_text", text="Hello.")],
        )
    ),
    events.ConversationItemCreate(
        item=events.FunctionCall(name="weather", arguments="{}", call_id="call_1")
    ),
    events.ConversationItemCreate(
        item=events.FunctionCallOutput(call_id="call_1", output='{"sky": "blue"}')
    ),
    events.ConversationItemCreate(
        item=events.McpApprovalResponse(id="item_a", approval_request_id="item_b", approve=False)
    ),
    events.ConversationItemRetrieve(item_id="item_1"),
    events.ConversationItemDelete(item_id="item_1"),
    events.ConversationItemTruncate(item_id="item_1", content_index=0, audio_end_ms=1200),
    events.InputAudioBufferAppend(audio="AAAA"),
    events.InputAudioBufferCommit(event_id="mine_2"),
    events.InputAudioBufferCommit(),
    events.InputAudioBufferClear(),
    events.OutputAudioBufferClear(),
    events.ResponseCreate(),
    events.ResponseCreate(
        response=events.ResponseParams(
            instructions="",
            output_modalities=["text"],
            audio=events.ResponseAudio(output=events.ResponseAudioOutput(voice="cedar")),
            tools=[
                {
                    "type": "function",
                    "name": "f",
                    "parameters": {"type": "object", "properties": {"x": {"default": None}}},
                }
            ],
            tool_choice={"type": "function", "name": "f"},
            parallel_tool_calls=False,
            max_output_tokens="inf",
            conversation="none",
            input=[
                events.ItemReference(id="item_1"),
                events.Message(
                    role="user", content=[events.ContentPart(type="input_text", text="Again.")]
                ),
            ],
            metadata={"purpose": "test"},
            reasoning=events.Reasoning(effort="low"),
        )
    ),
    events.ResponseCreate(response=events.ResponseParams(max_output_tokens=64, input=[])),
    events.ResponseCancel(),
    events.ResponseCancel(response_id="resp_1"),
)
