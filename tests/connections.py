"""Connections to a database that end without warning."""

import psycopg


def cut(url: str, which: str = "pid <> pg_backend_pid()") -> int:
    """Cut every other connection to this database, or those of which a condition holds; returns how many there were."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(
            "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity"  # noqa: S608 # our own words
            f" where datname = current_database() and {which}"
        ).fetchone()
    return int(found[0]) if found else 0


def cut_who_waits(url: str) -> int:
    """Cut the connections that wait for a lock; returns how many there were."""
    return cut(url, "wait_event_type = 'Lock'")
