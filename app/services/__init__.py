"""The services, a module each, which is loaded by the process that runs it; here only what they are called.

A module offers `build(settings, pool, chosen)`, which gives the service ready to run; `chosen` are the services of the
same process. It raises CannotStart when the settings do not let the service begin.
"""

SERVICES = ("ingest", "rollup", "validation", "commands", "rules", "notices", "inspections", "campaign", "http")
PROCESSES = {
    "ingest": ("ingest",),
    "watch": ("commands", "rules", "notices"),
    "desk": ("http",),
    "background": ("rollup", "validation", "inspections", "campaign"),
}
"""Which services share a process where they are deployed: what works through much keeps nobody waiting at the desk."""


class CannotStart(Exception):
    """The process cannot begin its work; the message says why and what to do."""
