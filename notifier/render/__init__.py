"""One notice, in one language, for one channel, turned into bytes.

No clock, no environment, no network: what is printed is what was passed in and what `templates/` and `config/` hold.
"""
