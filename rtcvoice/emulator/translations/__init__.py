"""The translation endpoint (`/realtime/translations`): a stream without turns, in a voice.

    session      client events, audio and time in; server events and audio out; pure
    interpreter  what is said to what is heard: the emulator can translate nothing, and says so
    settings     what may stand in a session
    calls        such sessions among the emulator's calls, over WebRTC and WebSockets

Its ear, its mouth and its clock are those of the Live dialect (`emulator/live`).
"""
