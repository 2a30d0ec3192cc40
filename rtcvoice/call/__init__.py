"""THE CROSSING: where the three roads meet in one call.

    connect.py:connect           what users call: the options of a call, checked at once
    composing.py:Composing       composes all of this, under one deadline
      connecting.py:Connecting.run   the stages of getting a leg up, timed; knows no call
      ends.py:Ends.open              beside it: source and sink, taken and opened
      roads.py:Roads                 joins source, sink, player and conversation at the leg
      life.py:Life                   watches, and closes everything once, under one deadline
      call.py:Call                   what users hold: made last, of finished parts

A call has one leg at a time. What belongs to the call (source, sink, player, conversation) outlives
it: another `Connecting` makes another leg, and `Roads.exchange` joins everything to it.

    reconnect    when it is tried again, and when given up: options and policy, pure
    leg_replacer.py:LegReplacer   makes another leg where one is lost, in doubt, or at its end;
                 reconnecting, live_reconnecting and translation_reconnecting: what is particular
                 to each API
    doubt, signs what makes one doubt a leg before its silence does
    live_doubt   asks a leg of GPT-Live that is in doubt, before it is taken for lost
    legs         what is told of each leg, and their counters together

What happens is told as facts to whoever listens, such as a recording: `facts.py` says which there
are, `telling.py` makes them of what the roads do, `listeners.py` hands them over.

    timings    how long each stage took, and which one is running
    message    text, images and clips of `send` and `ask` become items
    finishing  when a call has nothing more to do
"""
