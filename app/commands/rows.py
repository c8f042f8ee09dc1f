"""The commands there are, in the order of `gaswarden --help`: known without loading one."""

from app.commands.deferred import Row

ROWS = (
    Row("run", "app.commands.service:run", "Run services until SIGTERM or Ctrl-C."),
    Row(
        "check",
        "app.commands.service:check",
        "Show the effective settings (secrets masked) and look whether everything needed is there.",
    ),
    Row(
        "migrate",
        "app.commands.service:migrate",
        "Bring the database to the current schema, as the role of ADMIN_DATABASE_URL; repeats harmlessly.",
    ),
    Row(
        "demo",
        "app.demo.command:demo",
        "Play a demonstration district with known faults against the real services, show what was found, keep serving.",
    ),
    Row(
        "ledger",
        "app.commands.telemetry:show_ledger",
        "Prove that every message of a day has one disposition and that its rows are there; show what never arrived.",
    ),
    Row(
        "decode",
        "app.commands.decode:decode",
        "Show what a payload becomes, field by field, without storing it; no server is asked.",
    ),
    Row(
        "trace",
        "app.commands.proof:show_trace",
        "Say what became of one message: stored, in conflict, quarantined, held, never arrived; and show the facts.",
    ),
    Row(
        "conflicts",
        "app.commands.proof:show_conflicts",
        "Show values that came for a moment that had another: the first stays, the second is kept beside it.",
    ),
    Row(
        "backtest",
        "app.commands.backtest:show_backtest",
        "Try rules on stored history: alerts a day, officer-hours, known leaks caught and missed, difference to now.",
    ),
    Row(
        "import-readings",
        "app.commands.history:import_readings",
        "Import old readings of registered devices; repeats harmlessly, goes on where an interrupted import ended.",
        hidden=True,
    ),
    Row(
        "import",
        "app.commands.moving_in:imports",
        "Move in: the registry from CSV files, then old readings from CSV or Parquet.",
    ),
    Row("storage", "app.commands.storage:storage", "What the data takes on disk, and how long what is kept."),
    Row(
        "quarantine",
        "app.commands.telemetry:quarantine_commands",
        "Messages that could not be stored, and their replay.",
    ),
    Row(
        "alerts",
        "app.commands.alerts:alerts",
        "Alerts: list, show, watch, acknowledge, step, hand over. Without a command: the open ones.",
    ),
    Row("rules", "app.commands.rules:rules", "Rules: the set in force, kinds and their parameters, drafts, precision."),
    Row("command", "app.commands.commanding:command", "Commands to valves. People give them over HTTP, each by name."),
    Row("roster", "app.commands.roster_days:roster", "The inspectors' days."),
    Row("print", "app.commands.printing:notices", "Paper for residents: hazard notices and no-access cards, as PDF."),
    Row("report", "app.commands.reports:reports", "Figures of what was done."),
    Row(
        "dossier",
        "app.commands.dossiers:dossier",
        "Everything known of a household or an incident, as one signed archive.",
    ),
    Row("request", "app.commands.request_desk:request", "Residents' requests and complaints, with their deadlines."),
    Row("case", "app.commands.case_desk:case", "Supervised cases: one case, one plan."),
    Row(
        "enforcement", "app.commands.enforcing:enforcement", "Orders and penalties against businesses, amounts in fen."
    ),
    Row("hazard", "app.commands.hazard_desk:hazard", "Hazards that inspectors found, from notice to closure."),
    Row(
        "conflict",
        "app.commands.outcome_conflicts:conflict",
        "Inspectors' reports that could not be taken as they stood.",
    ),
    Row(
        "campaign",
        "app.commands.campaign:campaign",
        "The year: which buildings on which days, and what will not be reached.",
    ),
    Row("gateway", "app.commands.gateways:gateway", "Gateways: their registration and their account at the broker."),
    Row("device", "app.commands.gateways:device", "Devices."),
    Row("account", "app.commands.people:account", "Accounts of people and programs."),
    Row(
        "contact", "app.commands.contacts:contact", "How people are reached: mail, messengers, text messages, webhooks."
    ),
    Row("rota", "app.commands.on_duty:rota", "Who is on duty, hand-overs, gaps, and the nightly test."),
    Row("audit", "app.commands.people:audit_commands", "The record of who did or saw what."),
)
"""`import-readings` is how `import readings` was called at first."""
