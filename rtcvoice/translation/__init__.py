"""The conversation of a translation: what one speaker says, and the same in another language.

road       the conversation of one call: GPT-Live's, whose both sides speak at once
meaning    what an event of a translation is there
sound      the samples of audio that comes in events
"""
