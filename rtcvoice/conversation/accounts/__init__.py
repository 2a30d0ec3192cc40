"""What a call keeps account of: tokens, money, time, and how long the user waited.

accounts.py   the clock and the ear of the pure meters below
usage.py      tokens by kind, per response and in all; `prices.py` is the dated table
estimate.py   what a response may have used of which the server tells nothing
limits.py     when enough is enough
latency.py    from the end of the user's words to the first sound of the answer
"""
