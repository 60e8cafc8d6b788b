"""A dress rehearsal: a real Debian, booted from the user data that an emulated instance was given.

A lab is a "VPC" out of network namespaces around one emulated account (`provision.emulator`), for
root on Linux. Everything that it starts lives in a process namespace and a mount namespace of its
own, so that nothing of it outlives its first process; `docs/decisions/0010-rehearsal-lab.md` says
why it is built as it is.
"""
