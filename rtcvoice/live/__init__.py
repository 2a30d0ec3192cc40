"""The conversation of a call to GPT-Live: no turns, items or answers in its events."""
