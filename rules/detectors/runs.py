"""Pauses that prove that no leak runs, and the stretches between them. Pure."""

import polars as pl

from rules.model import Rule


def proof_s(rule: Rule, pulse_ml: pl.Expr) -> pl.Expr:
    """How long a pause must last to prove that no leak of `flow_low_lh` runs, in seconds.

    On a coarse counter a leak moves the register only every pulse / flow hours: 10 L at 5 L/h is 2 h, so a zero hour
    proves nothing there.
    """
    return pl.max_horizontal(pl.lit(rule["gap_min"] * 60), pulse_ml / 1000 / rule["flow_low_lh"] * 3600)


def marked_pairs(rule: Rule, pairs: pl.DataFrame) -> pl.DataFrame:
    """Every pair with what it says about a leak: `observed_s`, `proof` (inside a pause that proves none), `span`.

    `span` counts the proofs of a device so far: pairs of one span without proof are one stretch that may leak. An
    unmoved register is observed however long it took; movement over more than `sample_gap_max_min` observes nothing.
    """
    quiet = (pl.col("moved_ml") == 0).fill_null(value=False)
    seen = (pl.col("span_s") <= rule["sample_gap_max_min"] * 60) & pl.col("moved_ml").is_not_null()
    turned = (pl.struct("device_id", "quiet").rle_id()).alias("run")
    runs = pairs.with_columns(
        quiet.alias("quiet"), pl.when(quiet | seen).then(pl.col("span_s")).otherwise(0.0).alias("observed_s")
    ).with_columns(turned)
    pauses = (
        runs.filter("quiet")
        .group_by("run")
        .agg(pl.col("span_s").sum().alias("pause_s"), pl.col("pulse_ml").first())
        .filter(pl.col("pause_s") >= proof_s(rule, pl.col("pulse_ml")))
        .select("run", pl.lit(value=True).alias("proof"))
    )
    marked = runs.join(pauses, on="run", how="left", maintain_order="left").with_columns(
        pl.col("proof").fill_null(value=False)
    )
    return marked.with_columns(pl.struct("device_id", "proof").rle_id().alias("span")).drop("run", "quiet")


def proofs(rule: Rule, pairs: pl.DataFrame) -> pl.DataFrame:
    """The end of each device's newest pause that proves that no leak runs: `device_id, at`."""
    return marked_pairs(rule, pairs).filter("proof").group_by("device_id").agg(pl.col("at").max())
