"""A rehearsal without booting: the host program in a plain folder, against the emulated account.

No root, no Linux, no image: what the program asks of the system around it (systemd, apt, accounts)
is answered by stand-ins, everything else is real. See docs/decisions/0018.
"""
