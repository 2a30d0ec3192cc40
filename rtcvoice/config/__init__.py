"""What a call is asked to be: the options, checked, and the session's JSON that they make.

call_config     CallConfig: all options of one call
session_fields  pure: what an option that is not set is, and how groups of fields are merged
keys            which key or token a call uses
checks          pure: whether the value of an option can be what it has to be
end_dates       pure: when a model or a field of the session ends
"""
