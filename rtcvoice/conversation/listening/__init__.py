"""How events and turns reach the user's code: handlers, iterators, waits.

dispatcher   each event to everybody who wants it, in order, each with a bounded queue
turn_stream  the turns, as one iterator
"""
