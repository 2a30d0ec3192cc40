"""What happened in a call, on disk: written as it happens, read again with care.

format     names, folders, lines and WAV files: the client's recordings and the emulator's
masks      what is left out of them: keys, tokens, passwords, queries of URLs
options    `Recording`: what is kept, where, how much and how long
recorder   takes the facts of a call and writes them, in a thread of its own
timeline   both sides' audio on one clock
reading    a recorded call, read bounded: it may be anybody's
replay     does again what the user did, and compares
report     shows all of it as one page
"""
