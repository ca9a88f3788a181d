"""Files damaged at random, seeded: each is an error of one line, or ticks that are whole with rejects beside them."""

import random

import numpy as np
import pytest

from market.errors import DeskError
from market.symbols import parse_symbol
from sources.tick_files.opening import open_ticks

BTC = parse_symbol("KRAKEN:BTCUSD")
DAY = 1_700_000_000

WHOLE = {
    "csv": "event_time,price,size,aggressor,trade_id\n"
    + "".join(f"{DAY + n},{100 + n / 8},{n / 4},{'buy' if n % 2 else 'sell'},{n}\n" for n in range(30)),
    "kraken-trades": "time_ms,side,price,amount\n"
    + "".join(f"{(DAY + n) * 1000},{'buy' if n % 2 else 'sell'},{100 + n / 8},{n / 4}\n" for n in range(30)),
    "binance-aggtrades": "".join(
        f'{{"a":{n},"p":"{100 + n / 8}","q":"{n / 4}","f":{2 * n},"l":{2 * n + 1},"T":{(DAY + n) * 1000},"m":true}}\n'
        for n in range(30)
    ),
    "capture": "".join(
        f'{DAY + n}.5: [7,[["{100 + n / 8}","{n / 4}","{DAY + n}.25","b","m",""]],"trade","XBT/USD"]\n'
        for n in range(30)
    ),
}
WHOLE["array"] = "[" + ",\n".join(WHOLE["binance-aggtrades"].splitlines()) + "]"


def damaged(text, chance):
    raw = bytearray(text.encode())
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(raw))
        kind = chance.randrange(5)
        if kind == 0:
            raw[place] = chance.choice(b'",\n;.-0189eNn{}[]\xff\x00 \t')
        elif kind == 1:
            del raw[place : place + chance.randint(1, 40)]
        elif kind == 2:
            raw[place:place] = chance.choice(
                [b"1e999", b"nan", b'"', b"\n", b"\r", b"99999999999999999999", b"-", b"\xff"]
            )
        elif kind == 3:
            del raw[max(place, 60) :]
        else:
            raw[place:place] = raw[place : place + chance.randint(1, 80)]
    return bytes(raw)


@pytest.mark.parametrize("form", WHOLE)
def test_a_damaged_file_yields_whole_ticks_or_one_line(tmp_path, form):
    """Nothing but a DeskError leaves the reader, and what it yields is finite, timed and in the file's order."""
    chance = random.Random(f"damages of {form}")
    path = tmp_path / "damaged"
    errors: list[str] = []
    ticks = rejects = 0
    for _ in range(400):
        path.write_bytes(damaged(WHOLE[form], chance))
        latest = 0
        try:
            for batch in open_ticks(path, symbol=None if form == "capture" else BTC).batches():
                records = batch.ticks
                assert np.isfinite(records["price"]).all()
                assert np.isfinite(records["size"]).all()
                assert (records["event_time"] > 0).all()
                assert (records["trade_id"] >= 0).all()
                times = [latest, *records["received_time"].tolist()]
                assert times == sorted(times)
                latest = times[-1]
                assert all("\n" not in fault.text and fault.line > 0 for fault in batch.rejects)
                ticks, rejects = ticks + len(records), rejects + len(batch.rejects)
        except DeskError as error:
            errors.append(str(error))

    assert ticks > 5_000
    assert min(len(errors), rejects) > 5
    assert not any("\n" in error for error in errors)
