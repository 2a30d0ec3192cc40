"""THE CROSSING: where the three roads meet in one call.

connect     composes a call: leg, ends, conversation; `rtcvoice.connect`
connecting  the stages of getting a leg up, timed, under one deadline
call        what users hold
life        watches the call and closes it once
ends        the source and the sink: taken, opened, closed
"""
