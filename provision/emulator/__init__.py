"""AWS on this machine, for rehearsals and tests: moto's server with its gaps closed.

It keeps everything in memory: what an emulated account holds is lost when its process ends. Only
`provision.wiring` and the command line know of this package.
"""
