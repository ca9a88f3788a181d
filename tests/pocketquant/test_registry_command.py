"""The registry as its user meets it."""

import pytest

from market.symbols import Symbol
from sinks.registry_book import RegistryBook

AAPL = "NASDAQ:AAPL"
CARD = {"name", "description", "calendar", "tick_size", "history", "asset_class"}


@pytest.fixture
def run(pq, desk):
    """A command on the desk."""
    return lambda *words: pq(*words, "--data-dir", desk)


def listed(run, *words):
    return {f"{row['exchange']}:{row['symbol']}": row for row in run("symbols", *words, "--json").json()}


def test_a_registered_symbol_is_listed_shown_changed_and_removed(run):
    assert run("symbols", "add", "nasdaq:aapl", "--name", "Apple Inc.", "--tick-size", "0.01").code == 0
    (row,) = [row for name, row in listed(run).items() if name == AAPL]
    assert (row["name"], row["asset_class"], row["registered"], row["subscribed"], row["bars"]) == (
        "Apple Inc.", "stock", True, False, 0,
    )  # fmt: skip

    assert (
        run("symbols", "edit", AAPL, "--description", "Phones", "--history", "alpaca", "--history", "massive").code == 0
    )
    (card,) = run("symbols", "show", AAPL, "--json").json()
    assert {
        name: card[name] for name in ("name", "description", "calendar", "tick_size", "history", "asset_class")
    } == {
        "name": "Apple Inc.",
        "description": "Phones",
        "calendar": "XNYS",
        "tick_size": 0.01,
        "history": "alpaca massive",
        "asset_class": "stock",
    }

    answer = run("symbols", "remove", AAPL)
    assert (answer.code, answer.err) == (0, f"{AAPL}: out of the registry, what is stored of it stays\n")
    assert AAPL not in listed(run)


def test_removing_keeps_the_data_unless_asked(run):
    """The desk's one symbol has three bars, and is followed."""
    answer = run("symbols", "remove", "SIM:BTCUSD")
    assert answer.err == "SIM:BTCUSD: followed no longer, what is stored of it stays\n"
    assert listed(run)["SIM:BTCUSD"]["bars"] == 3

    assert run("symbols", "remove", "SIM:BTCUSD", "--with-data", "--yes").err.endswith("3 bars removed\n")
    assert run("bars", "SIM:BTCUSD", "1m", "--json").json() == []


def test_bars_are_not_removed_without_a_yes(run):
    """Nobody types at a test's standard input: the question is not answered, so nothing is done."""
    answer = run("symbols", "remove", "SIM:BTCUSD", "--with-data")
    assert answer.code != 0
    assert listed(run)["SIM:BTCUSD"]["bars"] == 3


def test_a_symbol_is_found_by_ticker_name_or_description(run):
    run("symbols", "add", AAPL, "--name", "Apple Inc.", "--description", "Consumer electronics")
    run("symbols", "add", "NASDAQ:AAPB", "--name", "Two times Apple")
    run("symbols", "add", "NYSE:APLE", "--name", "Apple Hospitality")

    def found(*words):
        return [row["symbol"] for row in run("symbols", "search", *words, "--json").json()]

    assert found("aapl") == ["AAPL"]
    assert found("Apple", "electronics") == ["AAPL"]
    assert found("apple") == ["AAPB", "AAPL", "APLE"]
    assert found("btc") == ["BTCUSD"]
    assert found("nothing such") == []
    answer = run("symbols", "search", "apple", "--online")
    assert answer.code == 2
    assert "POCKETQUANT_PROVIDERS__TRADINGVIEW__ENABLED" in answer.err


def test_a_list_from_a_file_is_a_universe(run, tmp_path, folders):
    file = tmp_path / "tech.csv"
    file.write_text("Ticker,Exchange,Name,Tick Size\nAAPL,NASDAQ,Apple Inc.,0.01\nibm,nyse,IBM,\n\n")

    answer = run("symbols", "import", file, "--universe", "tech")

    assert (answer.code, answer.err) == (0, "universe tech holds 2 symbols, 2 of them newly registered\n")
    assert sorted(listed(run, "list", "--universe", "tech")) == ["NASDAQ:AAPL", "NYSE:IBM"]
    assert run("symbols", "universes", "--json").json() == [{"universe": "tech", "symbols": 2}]
    run("symbols", "edit", AAPL, "--description", "Phones")
    file.write_text("NASDAQ:AAPL\n")
    assert run("symbols", "import", file, "--universe", "tech").code == 0
    assert sorted(listed(run, "list", "--universe", "tech")) == [AAPL]
    with RegistryBook(folders.history) as book:
        held = book.get(Symbol("NASDAQ", "AAPL"))
    assert held is not None
    assert (held.name, held.description) == ("Apple Inc.", "Phones"), "a list that says less takes nothing away"
    assert run("symbols", "universes", "--drop", "tech").code == 0
    assert run("symbols", "list", "--universe", "tech").code == 2
    assert AAPL in listed(run)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("symbol\nNASDAQ:AAPL\nNASDAQ:AAPL\n", "line 3: NASDAQ:AAPL is in the file twice"),
        ("symbol\nAAPL\n", "line 2: symbol 'AAPL' is not EXCHANGE:TICKER"),
        ("symbol\nNOWHERE:AAPL\n", "line 2: exchange NOWHERE of NOWHERE:AAPL has no session calendar"),
        ("symbol,tick_size\nNASDAQ:AAPL,a\n", "line 2: tick_size 'a' is no number"),
        ("symbol,tick_size\nNASDAQ:AAPL,-1\n", "line 2: tick size -1 of NASDAQ:AAPL is not above zero"),
        ("symbol,asset_class\nNASDAQ:AAPL,shares\n", "line 2: asset class 'shares' of NASDAQ:AAPL is none of crypto"),
        ("isin,price\nUS0378331005,1\n", "line 1: columns isin, price hold no `symbol`"),
        ("symbol\n", "holds no symbol"),
        ("", "holds no symbol"),
    ],
)
def test_a_file_with_one_bad_row_registers_nothing(run, tmp_path, text, said):
    """All or none: a half-imported list would be trusted as whole."""
    file = tmp_path / "bad.csv"
    file.write_text(text)

    answer = run("symbols", "import", file, "--universe", "bad")

    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert said in answer.err
    assert list(listed(run)) == ["SIM:BTCUSD"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "NOWHERE:X"), "has no session calendar"),
        (("add", AAPL, "--tick-size", "nan"), "tick size nan of NASDAQ:AAPL is not above zero"),
        (("add", AAPL, "--live", "reuters"), "feed 'reuters' is none of"),
        (("add", AAPL, "--history", "reuters"), "provider 'reuters' is none of"),
        (("edit", AAPL, "--name", "Apple"), "NASDAQ:AAPL is not registered: `pq symbols add NASDAQ:AAPL`"),
        (("edit", AAPL), "nothing to change"),
        (("remove", "NASDAQ:MSFT"), "NASDAQ:MSFT is not registered"),
        (("import", "missing.csv", "--universe", "x"), "missing.csv cannot be read: No such file"),
        (("import", "missing.csv", "--universe", "My List"), "universe 'My List' is not a short name"),
        (("list", "--universe", "none"), "no universe 'none'"),
    ],
)
def test_wrong_use_is_one_sentence(run, words, said):
    answer = run("symbols", *words)
    assert (answer.code, answer.err.count("\n")) == (2, 1), answer.err
    assert said in answer.err


def test_a_symbol_is_followed_on_the_feed_that_is_registered_for_it(run):
    """Unless another is named."""
    run("symbols", "add", "KRAKEN:BTCUSD", "--live", "tradingview")
    assert "is followed on feed tradingview" in run("subscribe", "KRAKEN:BTCUSD").err
    assert "is followed on feed kraken" in run("subscribe", "KRAKEN:BTCUSD", "--feed", "kraken").err


def test_a_symbol_is_registered_once(run):
    run("symbols", "add", AAPL)
    answer = run("symbols", "add", AAPL)
    assert answer.code == 2
    assert "NASDAQ:AAPL is registered already: `pq symbols edit NASDAQ:AAPL` changes it" in answer.err


def test_options_before_the_subcommand_count_too(pq, desk):
    assert pq("symbols", "--data-dir", desk, "add", AAPL).code == 0
    assert AAPL in listed(lambda *words: pq(*words, "--data-dir", desk))
