"""What is asked of the machine and the runtime around a call: a leaf.

clock        the one clock that moments are told by
sockets      when the sockets of a loop are read
sleep        whether the machine slept, or the process stood still
states       state machines, and a line in the log for each change
options      options that are checked when they are given
threads      user code in daemon threads, which hold up neither a call nor the program's end
waiting      for work that must be finished, whoever cancels meanwhile
files, small_files   which file something is; the small text files of users, read within bounds
interrupts   Ctrl-C while a program of ours is starting
environment  the environment's variables
native_stderr        descriptor 2, which libraries write to past Python
"""
