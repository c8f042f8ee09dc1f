"""What leaves the house: rosters, notices and cards as files that phones, maps, calendars and printers read."""
