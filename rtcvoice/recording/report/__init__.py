"""A recorded call as one page of HTML that needs nothing else: sound, words, times, events.

gathered     everything that the page shows of one recording, as JSON
flow         from the events: who spoke from when to when, tools, what happened to the connection
said         the turns, with their place in time
waits        how long each answer was waited for, in its parts
network      from the statistics: a row of figures for each second
usage        tokens and cost
sound        the sound as Opus, and its waveforms
event_table  every event, as much of it as there is room for
notes        what is missing of a recording
checked      values of a recording, which may be anybody's, as what they should be
document     puts it all into the page, whose parts are the files in `page/`
write        `report`: reads, makes, and writes the page
"""
