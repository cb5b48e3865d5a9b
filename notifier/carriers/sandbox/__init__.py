"""A strict server that speaks the carriers' wire, so that demo, tests and benchmark run what production runs.

It is no part of the service: it knows nothing of ours but the addresses it is told to call, and it keeps its own record
of what it took and what it posted, to be compared with our ledger one to one.
"""
