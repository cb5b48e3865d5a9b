"""RQ entry points and the clock process. They carry ids only, and each calls one use case."""
