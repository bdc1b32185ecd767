"""The command line: what is built from options, and how wrong ones are answered."""

from decimal import Decimal

import polars as pl
import pytest

from live_bridge.loopback.command import build, main, parser
from tests.oracle.loopback import START_MS, bars


@pytest.fixture
def folder(tmp_path):
    frame = bars([100.0, 101.0]).with_columns(pl.lit("BTC/USDT").alias("symbol"))
    frame.write_parquet(tmp_path / "bars.parquet")
    return tmp_path


def built(folder, *options, environment=None):
    return build(parser().parse_args(["--bars", str(folder), *options]), environment or {})


def test_the_clock_starts_at_the_open_of_the_last_bar_or_where_told(folder):
    assert built(folder).state.time == START_MS + 3_600_000
    assert built(folder, "--at", "2024-01-01T00:30:00+00:00").clock.now() == START_MS + 1_800_000


def test_balances_fees_and_keys(folder):
    session = built(
        folder, "--balance", "USDT=10000", "--balance", "BTC=0.5", "--taker-bps", "7.5",
        environment={"MNEMO_LOOPBACK_KEY": "k", "MNEMO_LOOPBACK_SECRET": "s"},
    )  # fmt: skip
    assert session.state.balance("BTC").free == Decimal("0.5")
    assert session.venue.settings.taker_bps == Decimal("7.5")
    assert (session.credentials.key, session.credentials.secret) == ("k", "s")
    assert "'s'" not in repr(session.credentials)


def test_filters_from_a_file(folder):
    path = folder / "filters.yaml"
    path.write_text("default: {min_notional: 5}\nsymbols:\n  BTCUSDT: {step_size: 0.1}\n")
    rules = built(folder, "--filters", str(path)).venue.filters["BTCUSDT"]
    assert (rules.min_notional, rules.step_size) == (Decimal(5), Decimal("0.1"))
    path.write_text('{"default": {"tick_size": "0.5"}}')
    assert built(folder, "--filters", str(path)).venue.filters["BTCUSDT"].tick_size == Decimal("0.5")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--at", "yesterday"], 2, "not understood"),
        (["--at", "2024-01-01T00:00:00"], 2, "write 2024-01-01T00:00:00Z"),
        (["--clock", "slow"], 2, "use manual, real or xN"),
        (["--balance", "USDT"], 2, "write for example USDT=10000"),
        (["--balance", "USDT=-1"], 2, "a number of at least zero"),
        (["--spread-bps", "NaN"], 2, "--spread-bps"),
        (["--levels", "0"], 2, "--levels 0"),
        (["--exchange", "kraken"], 3, "no spot bars of kraken"),
        (["--filters", "nowhere.yaml"], 2, "not readable"),
    ],
)
def test_wrong_options_are_one_line_and_an_exit_code(folder, capsys, options, code, message):
    assert main(["--bars", str(folder), *options]) == code
    output = capsys.readouterr()
    assert message in output.err
    assert output.out == ""


def test_wrong_filters_name_the_key(folder, capsys):
    path = folder / "filters.yaml"
    path.write_text("default: {lot: 1}\n")
    assert main(["--bars", str(folder), "--filters", str(path)]) == 2
    assert "filters.yaml:1: default.lot: unknown key" in capsys.readouterr().err
    path.write_text("symbols: {NOPE: {step_size: 1}}\n")
    assert main(["--bars", str(folder), "--filters", str(path)]) == 2
    assert "NOPE are not stored; there are BTCUSDT" in capsys.readouterr().err
