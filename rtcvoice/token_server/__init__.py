"""A small web server that mints ephemeral tokens for those who may not have the key.

server      the requests: what a token may be used for, whose requests are answered
access      who may ask: pages by their origin, programs by a client key
rate_limit  how often
"""
