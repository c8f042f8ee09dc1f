"""Notices: a page becomes a notice to each person who must know, handed over by a channel, or known to have failed."""
