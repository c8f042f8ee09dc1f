"""Commands to valves: asked for by people (or a policy that is off by default), sent to gateways, proved by telemetry.

In: rows of `command` that people and the policy add, events and readings that ingest committed. Out: messages on
`gas/v1/{area}/{gateway}/commands`. Writes `command` and `command_step`.
"""
