"""Answers the absence rules out of a time that is played again, as the database would have then. Pure.

Each method says what the query of its name says (sql/queries/rules_watch.sql, rules.sql); tests play one story to both.
"""

from rules.replay.desk import Desk
from rules.replay.gateways import Gateways
from rules.replay.places import Places
from rules.replay.state import State
from rules.replay.watches import Watches


class ReplayedSight(Watches, Gateways, Places):
    """Who was heard and who is watched, at the moment to which a state was moved (rules/sight.py)."""

    def __init__(self, state: State, desk: Desk) -> None:
        Watches.__init__(self, state, desk)
