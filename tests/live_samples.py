"""One call of the Live API as JSON lines: what its server sends, and behind `>` what a client does.

Real shapes with invented values: a greeting on request, a question that the backend model answers
with the help of a tool, muting, a refused command, the end.
"""

# ruff: noqa: E501  (lines of the wire are as long as they are)

from __future__ import annotations

from rtcvoice.events import live

__all__ = ["CALL", "CLIENT_SAMPLES", "FROM_CLIENT", "FROM_SERVER"]

CALL = tuple(
    r"""
{"event_id":"event_1","type":"session.started","session":{"id":"live_u1_Ab3dEfGh1jKlMn0pQrStUvWxYz012345","model":"gpt-live-1.1","status":"active","expires_at":1796007200,"audio":{"output":{"voice":"marin"}},"instructions":"x","input":[],"delegation":{"type":"responses","responses":{"model":"gpt-6-luna","tools":[{"type":"function","name":"weather","parameters":{"type":"object","properties":{}}}],"tool_choice":"auto"}}}}
> {"type":"session.commentary.append","event_id":"c1","content":"Greet the caller.","delegation_id":null}
{"event_id":"event_2","type":"session.output_transcript.delta","delta":"Hello.","start_ms":800,"end_ms":1000}
{"event_id":"event_3","type":"session.commentary.appended","client_event_id":"c1","start_ms":600,"end_ms":800}
{"event_id":"event_4","type":"session.input_transcript.delta","delta":" Is it","start_ms":3000,"end_ms":3200}
{"event_id":"event_5","type":"session.input_transcript.delta","delta":" raining","start_ms":3400,"end_ms":3600}
{"event_id":"event_6","type":"session.delegation.created","offset_ms":3600,"delegation":{"id":"item_d1","type":"delegation","target":"responses","response_id":"resp_1"}}
{"event_id":"event_7","type":"session.output_transcript.delta","delta":" Let me","start_ms":4400,"end_ms":4600}
{"event_id":"event_8","type":"session.input_transcript.delta","delta":"?","start_ms":4400,"end_ms":4600}
{"event_id":"event_9","type":"session.output_transcript.delta","delta":" look.","start_ms":4600,"end_ms":4800}
{"event_id":"event_10","type":"response.event","delegation_id":"item_d1","event":{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1796000010,"status":"in_progress","model":"gpt-6-luna","output":[],"tools":[],"instructions":null,"tool_choice":"auto","parallel_tool_calls":true,"error":null,"incomplete_details":null,"metadata":{},"temperature":1.0,"top_p":1.0}}}
{"event_id":"event_11","type":"response.event","delegation_id":"item_d1","event":{"type":"response.output_item.done","sequence_number":5,"output_index":0,"item":{"id":"fc_1","type":"function_call","status":"completed","call_id":"call_1","name":"weather","arguments":"{}"}}}
{"event_id":"event_12","type":"response.event","delegation_id":"item_d1","event":{"type":"response.completed","sequence_number":6,"response":{"id":"resp_1","object":"response","created_at":1796000010,"status":"completed","model":"gpt-6-luna","output":[],"tools":[],"instructions":null,"tool_choice":"auto","parallel_tool_calls":true,"error":null,"incomplete_details":null,"metadata":{},"temperature":1.0,"top_p":1.0,"usage":{"input_tokens":90,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens":12,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":102}}}}
> {"type":"response.item.create","event_id":"c2","item":{"type":"function_call_output","call_id":"call_1","output":"{\"rain\":true}"}}
> {"type":"response.create","event_id":"c3"}
{"event_id":"event_13","type":"response.event","delegation_id":"item_d1","event":{"type":"response.completed","sequence_number":8,"response":{"id":"resp_2","object":"response","created_at":1796000010,"status":"completed","model":"gpt-6-luna","output":[],"tools":[],"instructions":null,"tool_choice":"auto","parallel_tool_calls":true,"error":null,"incomplete_details":null,"metadata":{},"temperature":1.0,"top_p":1.0,"usage":{"input_tokens":90,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens":12,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":102},"previous_response_id":"resp_1"}}}
{"event_id":"event_14","type":"session.output_transcript.delta","delta":" Yes, it is.","start_ms":7000,"end_ms":7200}
{"event_id":"event_15","type":"session.usage.updated","usage":{"seconds":12.0},"context_window":{"usage_ratio":0.0103}}
> {"type":"session.input_audio.mute","event_id":"c4"}
{"event_id":"event_16","type":"session.input_audio.muted","client_event_id":"c4"}
{"event_id":"event_17","type":"error","error":{"type":"invalid_request_error","code":"unknown_parameter","message":"m","param":"session.instructions","client_event_id":"c5"},"client_event_id":"c5"}
> {"type":"session.close","event_id":"c6"}
{"event_id":"event_18","type":"session.closed","client_event_id":"c6","reason":"close_requested","session":{"id":"live_u1_Ab3dEfGh1jKlMn0pQrStUvWxYz012345","model":"gpt-live-1.1","status":"active","expires_at":1796007200},"usage":{"seconds":26.0}}
""".strip().splitlines()
)

FROM_SERVER = tuple(line for line in CALL if not line.startswith("> "))
FROM_CLIENT = tuple(line.removeprefix("> ") for line in CALL if line.startswith("> "))

CLIENT_SAMPLES: tuple[live.LiveClientEvent, ...] = (
    live.SessionUpdate(session={}),
    live.SessionUpdate(
        event_id="u1",
        session={
            "delegation": {
                "type": "responses",
                "acknowledgement_delay_ms": 800,
                "responses": {"instructions": "Be brief.", "tools": []},
            },
            "triggers": [],
        },
    ),
    live.SessionClose(event_id="u2"),
    live.InputAudioMute(),
    live.InputAudioUnmute(event_id="u3"),
    live.InstructionsAppend(content="Speak German.", delegation_id=None),
    live.ThinkingAppend(content="It rains.", delegation_id="item_d1", event_id="u4"),
    live.CommentaryAppend(content="Say that it rains.", delegation_id="item_d1"),
    live.ResponseItemCreate(
        item={"type": "function_call_output", "call_id": "call_1", "output": "{}"}
    ),
    live.ResponseItemCreate(
        item={
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {
                    "type": "input_image",
                    "image_url": "data:image/png;base64,eA==",
                    "detail": "auto",
                },
            ],
        }
    ),
    live.ResponseCreate(event_id="u5"),
    live.DecisionCreate(event_id="u6"),
    live.DecisionItemCreate(
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
    ),
    live.DecisionItemDelete(item_id="item_1"),
    live.OutputAudioFixturePlay(audio="AAAA"),
    live.TransportDtmfSend(event="5"),
)
"""One of each kind that `ConnectClientEventParam` of the `openai` package has."""
