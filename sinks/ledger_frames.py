"""The ledger's tables as Polars frames, with the columns that users see. Apart, because importing Polars takes time."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from sinks.ledger_gaps import Gap
from sinks.ledger_rejects import Reject

_TIME: Final = pl.Datetime("ns", "UTC")


def gaps_frame(gaps: Sequence[Gap]) -> pl.DataFrame:
    """One row a gap; `end` is null while it lasts."""
    return pl.DataFrame(
        [(*gap.symbol, gap.start, gap.end, gap.reason, str(gap.state), gap.healed_by, gap.noticed_at) for gap in gaps],
        schema={
            "exchange": pl.String,
            "symbol": pl.String,
            "start": pl.Int64,
            "end": pl.Int64,
            "reason": pl.String,
            "state": pl.String,
            "healed_by": pl.String,
            "noticed_at": pl.Int64,
        },
        orient="row",
    ).with_columns(pl.col("start", "end", "noticed_at").cast(_TIME))


def rejects_frame(rejects: Sequence[Reject]) -> pl.DataFrame:
    """One row a reject; symbol, seq and place are null where they are not known."""
    return pl.DataFrame(
        [(r.received_time, r.source, r.reason, *(r.symbol or (None, None)), r.seq, r.place, r.detail) for r in rejects],
        schema={
            "received_time": pl.Int64,
            "source": pl.String,
            "reason": pl.String,
            "exchange": pl.String,
            "symbol": pl.String,
            "seq": pl.Int64,
            "place": pl.Int64,
            "detail": pl.String,
        },
        orient="row",
    ).with_columns(pl.col("received_time").cast(_TIME))
