"""Random kills (-9) of worker and database for minutes: acknowledged to the publisher = accounted for, exactly.

A gateway publishes some thousand messages a second at QoS 1, every 501st of a device nobody registered. At the end
the distinct rows stored and the distinct messages in quarantine must be what the broker acknowledged, the ledger must
balance, and no sequence number may be missing; else the program ends with an error.
"""

import argparse
import asyncio
import json
import shutil
import uuid
from pathlib import Path

from rich.console import Console

from app.embedded import EmbeddedServers, default_directory
from tests.mid_load import random_kills, settle


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench kills", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.5, help="how long to kill (default: half a minute)")
    parser.add_argument("--full", action="store_true", help="five minutes")
    parser.add_argument("--seed", type=int, default=1, help="which moments chance picks")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    chosen = parser.parse_args()
    folder = default_directory() / "bench" / uuid.uuid4().hex[:12]
    servers = EmbeddedServers.open(folder)  # durable: kills of processes, with production's settings
    try:
        servers.start()
        seconds = 60 * (5.0 if chosen.full else chosen.minutes)
        told = asyncio.run(random_kills(settle(servers), seconds=seconds, seed=chosen.seed))
    finally:
        servers.destroy()
        shutil.rmtree(folder, ignore_errors=True)
    killed = ", ".join(f"{victim} {count} times" for victim, count in sorted(told.kills.items()))
    Console().print(
        f"killed in {told.seconds:.0f} s: {killed}\n"
        f"{told.acknowledged:,} messages acknowledged to the publisher, all accounted for; the worker was given "
        f"{told.received:,}, of which {told.duplicates:,} were repeats"
    )
    if chosen.json:
        chosen.json.write_text(json.dumps(vars(told) | {"kills": dict(told.kills)}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
