"""Splits and dividends from a file, as their user meets them."""

import pytest

AAPL = "NASDAQ:AAPL"


@pytest.fixture
def run(pq, desk):
    """A command on the desk."""
    return lambda *words: pq(*words, "--data-dir", desk)


def test_actions_are_imported_listed_and_removed(run, tmp_path):
    file = tmp_path / "actions.csv"
    file.write_text(
        "Symbol,Date,Kind,Value,Currency\nnasdaq:aapl,2020-08-31,Split,4:1,\nNASDAQ:AAPL,2020-08-07,dividend,0.82,usd\n"
    )

    answer = run("actions", "import", file)

    assert (answer.code, answer.err) == (0, "2 actions: 2 new, 0 changed, 0 as before\n")
    assert run("actions", "import", file).err == "2 actions: 0 new, 0 changed, 2 as before\n"
    rows = run("actions", "list", AAPL, "--json").json()
    assert [(row["date"], row["kind"], row["value"], row["currency"], row["source"]) for row in rows] == [
        ("2020-08-07", "dividend", 0.82, "USD", "file"),
        ("2020-08-31", "split", 4.0, "", "file"),
    ]
    assert run("actions", "remove", AAPL, "2020-08-31", "split").code == 0
    assert run("actions", "remove", AAPL, "2020-08-31", "split").code == 2
    assert len(run("actions", "list", "--json").json()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "symbol,date,kind,value\nNASDAQ:AAPL,2020-08-31,split,0\n",
            "line 2: split of NASDAQ:AAPL on 2020-08-31: the ratio",
        ),
        ("symbol,date,kind,value\nNASDAQ:AAPL,2020-08-31,split,1:0\n", "the ratio must be above 0, and is inf"),
        ("symbol,date,kind,value\nNASDAQ:AAPL,31.8.2020,split,4\n", "line 2: date '31.8.2020'"),
        ("symbol,date,kind,value\nNASDAQ:AAPL,2020-08-31,merger,4\n", "kind 'merger'"),
        ("symbol,date,kind,value\nAAPL,2020-08-31,split,4\n", "line 2: symbol 'AAPL' is not EXCHANGE:TICKER"),
        ("date,kind,value\n2020-08-31,split,4\n", "lacks the column symbol"),
        ("symbol,date,kind,value\nNASDAQ:AAPL,2020-08-31,split,4\nNASDAQ:AAPL,2020-08-31,split,4\n", "twice"),
        ("symbol,date,kind,value\n", "holds no corporate action"),
        ("", "lacks the column date"),
    ],
)
def test_a_bad_file_changes_nothing(run, tmp_path, text, said):
    file = tmp_path / "actions.csv"
    file.write_text(text)

    answer = run("actions", "import", file)

    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert said in answer.err
    assert run("actions", "list", "--json").json() == []


def test_a_file_without_symbols_is_of_the_one_that_is_named(run, tmp_path):
    file = tmp_path / "aapl.csv"
    file.write_text("date,kind,value\n2020-08-31,split,4\n")
    assert run("actions", "import", file, "--symbol", AAPL).code == 0
    assert run("actions", "list", AAPL, "--json").json()[0]["value"] == 4.0


def test_a_provider_without_actions_is_wrong_use(run):
    answer = run("actions", "fetch", AAPL, "--provider", "kraken")

    assert (answer.code, answer.out) == (2, "")
    assert "provider 'kraken' has no corporate actions; those that have are" in answer.err


def test_symbols_are_named_or_all_are_meant(run):
    assert "name symbols, or --all" in run("actions", "fetch").err
    assert run("actions", "fetch", AAPL, "--all").code == 2
