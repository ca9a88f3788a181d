"""Settings: `pocketquant.toml`, `POCKETQUANT_*` environment variables over it, options of the command over both."""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from platformdirs import user_data_path
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from infra.folders import Folders
from infra.lifeline import SUPERVISOR_PID
from market.errors import DeskError
from market.spelling import read_symbol

PREFIX: Final = "POCKETQUANT_"
FEEDS: Final = ("auto", "sim", "kraken", "coinbase", "binance", "okx", "tradingview")

_NOT_SETTINGS: Final = (f"{PREFIX}CONFIG", SUPERVISOR_PID)
_NOT_SETTINGS_PREFIXES: Final = (f"{PREFIX}TEST_", f"{PREFIX}REQUIRE_", f"{PREFIX}BENCH_")

Words = Annotated[list[str], NoDecode]
"""A list; in an environment variable, words parted by commas or spaces, or JSON."""

Secrets = Annotated[list[SecretStr], NoDecode]


class TradingView(BaseModel):
    """TradingView's quote socket: off unless switched on here, since its terms forbid redistribution."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = False
    token: SecretStr | None = None
    """Pasted `auth_token`; without it the anonymous one, whose data may be delayed."""


class Simulated(BaseModel):
    """The simulated exchange that `--feed sim` starts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: float = Field(default=50.0, ge=1, le=200_000)
    """Ticks a second over all symbols."""
    symbols: int | None = Field(default=None, ge=1, le=10_000)
    """How many symbols; None for the five named ones."""
    seed: int = 1
    url: str | None = None
    """A simulated exchange that already runs elsewhere on this machine."""


class Provider(BaseModel):
    """A provider of history."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    key: SecretStr | None = None
    """Its API key or token, where it wants one."""
    secret: SecretStr | None = None
    """The second half of the key, where it has two (Alpaca)."""
    url: str | None = None
    """Another address than the provider's own: a mirror, or a proxy."""
    per_minute: int | None = Field(default=None, ge=1)
    """Weight a minute of your plan, where it is not the free one's."""
    per_day: int | None = Field(default=None, ge=1)
    """Weight a day of your plan, where it is not the free one's."""


class Providers(BaseModel):
    """Where history comes from. TradingView and Yahoo are off unless switched on: their terms forbid redistribution."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    simulated: Provider = Provider()
    binance: Provider = Provider()
    coinbase: Provider = Provider()
    kraken: Provider = Provider()
    okx: Provider = Provider()
    alpaca: Provider = Provider()
    massive: Provider = Provider()
    tradier: Provider = Provider()
    alpha_vantage: Provider = Provider()
    tradingview: Provider = Provider(enabled=False)
    yfinance: Provider = Provider(enabled=False)


class Backup(BaseModel):
    """Where backups go, and how long they stay."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: str | None = None
    """A folder, or `s3://bucket/prefix`; None is `backups` in the data folder."""
    key: SecretStr | None = None
    """Encrypts what leaves: a passphrase, or an age public key (`age1...`)."""
    keep_days: int = Field(default=30, ge=1)
    keep_months: int = Field(default=12, ge=0)
    s3_endpoint: str | None = None
    """Of an S3 that is not Amazon's, with its scheme: `http://127.0.0.1:9000`."""
    s3_region: str | None = None
    s3_access_key: SecretStr | None = None
    s3_secret_key: SecretStr | None = None


class Nightly(BaseModel):
    """One line of the nightly backtests: a strategy, and what it is run on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: str
    symbols: list[str] = []
    """None at all: every registered one."""
    interval: str = "1d"
    parameters: dict[str, bool | int | float | str] = {}
    """By name; what is left out has the strategy's default."""
    cash: float = Field(default=10_000.0, ge=1)
    assumed: dict[str, bool | int | float | str] = {}
    """What the runs take for granted, as options of `pq backtest` without their dashes: `fees = "kraken"`."""


class Flows(BaseModel):
    """Prefect's server and the flows that it schedules."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    port: int = Field(default=4200, ge=1, le=65_535)
    """Of the server and its UI, on 127.0.0.1."""
    at_once: int = Field(default=2, ge=1, le=16)
    """Flow runs that fetch at a time, each a process of about 150 MB; two more may keep the desk whole beside them."""
    nightly: list[Nightly] = []
    """Backtests of each night; none is each of our strategies on each registered symbol's daily bars."""


class Paper(BaseModel):
    """Paper trading, and the limits of all its runs together; each run has its own besides."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    enabled: bool = True
    max_exposure: float | None = Field(default=None, gt=0)
    """Gross value of all positions of all runs, in account currency."""
    max_daily_loss: float | None = Field(default=None, gt=0)
    """What all runs together may lose in a day (UTC), in account currency; then the kill switch stops each."""
    max_orders_per_minute: int = Field(default=0, ge=0)
    """Of all runs together; 0 for any number."""
    flatten: bool = False
    """Whether the daily loss also closes all positions."""
    notify_trades: bool = False
    """Whether each trade is sent to the addresses of `notify`."""
    notify_events: bool = False
    """Whether starts, stops and failures of runs are."""
    warm_up: int = Field(default=5_000, ge=0, le=1_000_000)
    """Bars that a run is shown before its first, at most."""
    keep_days: int = Field(default=90, ge=1)
    """How long decisions, equity, revisions and events stay once a certificate has come to them; orders, fills and
    trades stay with their run."""


class Settings(BaseSettings):
    """Everything that can be set. An unknown key or a value of another type is an error, never ignored."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, populate_by_name=True
    )

    data_dir: Path = Field(default_factory=lambda: user_data_path("pocketquant", appauthor=False))
    redis_url: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("redis_url", f"{PREFIX}REDIS_URL", "REDIS_URL")
    )
    """A Redis of your own; None starts the embedded one on a Unix socket in the data folder."""
    redis_memory_mb: int = Field(default=128, ge=16)
    """Cap of the embedded Redis."""
    mongodb_uri: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("mongodb_uri", f"{PREFIX}MONGODB_URI", "MONGODB_URI")
    )
    """Bar store in MongoDB; None keeps bars in `bars.sqlite`."""

    feeds: Words = Field(default=["auto"], min_length=1)
    symbols: Words = []
    """Subscribed at start, besides those that `pq subscribe` keeps."""
    negative_prices: Words = []
    """Symbols whose price may be zero or below (spreads, power, oil on a bad day)."""
    extended_hours: Words = []
    """Symbols whose pre-market and after-hours ticks enter bars."""
    designated: dict[str, str] = {}
    """Which feed makes a symbol's bars where two carry it: `"KRAKEN:BTCUSD" = "kraken"`."""
    okx_contracts: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Value of one contract (the venue's `ctVal`) of each OKX swap or future followed: `"BTC-USDT-SWAP" = 0.01`."""

    grace_s: float = Field(default=2.0, ge=0, le=60)
    """How long after its end a bar stays open, by the journal's clock."""
    quotes_per_second: float = Field(default=4.0, gt=0, le=1000)
    """Journaled quotes, a symbol."""
    clock_skew_s: float = Field(default=1.0, gt=0)
    """A feed whose median of received minus event time is further off than this is a named alarm."""
    feed_stale_s: float = Field(default=30.0, gt=0)
    """A feed without a message for this long is a named alarm."""

    journal_keep_days: float = Field(default=7.0, gt=0)
    min_free_mb: int = Field(default=1024, ge=0)
    """Disk space below which an alarm is raised and the oldest consumed days of the journal go."""
    journal_durable: bool = False
    """Whether each journal row is forced to the disk (safe against power loss, and slower)."""

    providers: Providers = Providers()
    provider_order: dict[str, list[str]] = {}
    """Providers to try, in order, by asset class (`crypto`, `stock`, `fx`, `future`, `index`) or exchange."""
    cross_check_percent: float = Field(default=0.1, gt=0)
    """Two providers' bars that differ by more are a finding."""
    archive_to: str | None = None
    """Folder or `s3://bucket/prefix` of the Parquet archive; None is `archive` in the data folder."""
    strategies_dir: Path | None = None
    """Folder of your own strategies; None is `strategies` in the data folder."""
    backup: Backup = Backup()
    flows: Flows = Flows()
    paper: Paper = Paper()

    metrics_port: int = Field(default=9461, ge=0, le=65_532)
    """Prometheus on 127.0.0.1: the supervisor here, ingest, bars and paper on the ports after it; 0 serves none."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    notify: Secrets = []
    """Apprise addresses that alerts are sent to; none by default."""

    tradingview: TradingView = TradingView()
    simulated: Simulated = Simulated()

    @field_validator("feeds", "symbols", "negative_prices", "extended_hours", "notify", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value.startswith("["):
            return json.loads(value)
        return [word for word in re.split(r"[\s,]+", value) if word]

    @field_validator("symbols", "negative_prices", "extended_hours")
    @classmethod
    def _symbols(cls, value: list[str]) -> list[str]:
        return [str(read_symbol(text)) for text in value]

    @field_validator("designated")
    @classmethod
    def _designated(cls, value: dict[str, str]) -> dict[str, str]:
        for feed in value.values():
            if feed not in FEEDS[1:]:
                msg = f"feed {feed!r} is none of {' '.join(FEEDS[1:])}"
                raise ValueError(msg)
        return {str(read_symbol(text)): feed for text, feed in value.items()}

    @field_validator("feeds")
    @classmethod
    def _feeds(cls, value: list[str]) -> list[str]:
        for name in value:
            if name not in FEEDS:
                msg = f"feed {name!r} is none of {' '.join(FEEDS)}"
                raise ValueError(msg)
        if "auto" in value and len(value) > 1:
            msg = "feed auto chooses by itself and goes with no other"
            raise ValueError(msg)
        if "sim" in value and len(value) > 1:
            msg = "feed sim is never mixed with real data: run it alone, in a data folder of its own"
            raise ValueError(msg)
        return list(dict.fromkeys(value))

    @property
    def folders(self) -> Folders:
        """Paths of the data folder."""
        return Folders(self.data_dir)

    @property
    def strategies(self) -> Path:
        """Folder of the user's own strategies."""
        return self.strategies_dir.expanduser() if self.strategies_dir else self.folders.strategies

    @property
    def redis(self) -> str:
        """Address of Redis: the setting, or the embedded one's socket."""
        return self.redis_url.get_secret_value() if self.redis_url else f"unix://{self.folders.redis_socket}"

    @property
    def store(self) -> str:
        """Address of the bar store: MongoDB's, or the path of the SQLite file."""
        return self.mongodb_uri.get_secret_value() if self.mongodb_uri else str(self.folders.bars)

    def secrets(self) -> list[str]:
        """Every secret in these settings, for the log to black out."""
        backup = self.backup
        held = [
            *(self.redis_url, self.mongodb_uri, self.tradingview.token, *self.notify),
            *(backup.key, backup.s3_access_key, backup.s3_secret_key),
        ]
        for name in Providers.model_fields:
            provider: Provider = getattr(self.providers, name)
            held += [provider.key, provider.secret]
        return [secret.get_secret_value() for secret in held if secret is not None]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # Pydantic calls by these names.
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """`load_settings` merges the sources itself, so that it can say where a bad value came from."""
        return (init_settings,)


def load_settings(
    data_dir: Path | None = None,
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    **options: Any,
) -> Settings:
    """Read the settings of one desk.

    Args:
        data_dir: Folder from the command line; else `POCKETQUANT_DATA_DIR`, else the config's, else the platform's.
        config: File from the command line; else `POCKETQUANT_CONFIG`, else `pocketquant.toml` in the data folder.
        environ: Variables; `os.environ` unless given.
        options: Settings from the command line, over all else; those that are None are left out.

    Raises:
        DeskError: One sentence that names the file or variable, the key, the rule and the value.
    """
    environ = os.environ if environ is None else environ
    given = {key: value for key, value in options.items() if value is not None}
    if data_dir is not None:
        given["data_dir"] = data_dir
    named = config or (Path(environ[f"{PREFIX}CONFIG"]) if environ.get(f"{PREFIX}CONFIG") else None)
    from_environ = _environment(environ)
    if named is not None:
        source, from_file = named, _read(named)
    else:
        base = given.get("data_dir", from_environ.get("data_dir"))
        folder = Path(base) if base else user_data_path("pocketquant", appauthor=False)
        source = Folders(folder).config
        from_file = _read(source) if source.is_file() else {}
        if "data_dir" in from_file:
            msg = f"{source}: data_dir cannot be set in the file that the data folder itself holds; remove it"
            raise DeskError(msg)
    merged = _over(_over(from_file, from_environ), given)
    try:
        return Settings(**merged)
    except ValidationError as error:
        raise DeskError(_explain(error, source, from_file, from_environ, given)) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"config file {path} cannot be read: {error.strerror or error}; name another with --config"
        raise DeskError(msg) from error
    except ValueError as error:
        msg = f"config file {path} is not TOML: {error}"
        raise DeskError(msg) from error


def _environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Settings from environment variables; one with our prefix that sets nothing is an error, as a key in a file is."""
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    for variable in environ:
        if (
            variable.startswith(PREFIX)
            and variable.partition("__")[0] not in known
            and variable not in _NOT_SETTINGS
            and not variable.startswith(_NOT_SETTINGS_PREFIXES)
        ):
            msg = f"environment variable {variable} sets nothing: the settings are {' '.join(sorted(known))}"
            raise DeskError(msg)
    given = {key: value for key, value in environ.items() if value and (key.startswith(PREFIX) or key in _PLAIN)}
    source = EnvSettingsSource(Settings)
    source.env_vars = {key.lower(): value for key, value in given.items()}
    try:
        found = source()
    except SettingsError as error:
        cause = error.__cause__ or error
        msg = f"environment: {error}: {cause}; lists and tables there are written as JSON"
        raise DeskError(msg) from error
    return {_field(key): value for key, value in found.items()}


_PLAIN: Final = ("REDIS_URL", "MONGODB_URI")


def _field(key: str) -> str:
    """A setting's own name, of whichever of its names `key` is."""
    return key.removeprefix(PREFIX).lower()


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two layers; tables are merged key by key."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _over(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _explain(
    error: ValidationError,
    source: Path,
    from_file: Mapping[str, Any],
    from_environ: Mapping[str, Any],
    given: Mapping[str, Any],
) -> str:
    """The first thing wrong, as one sentence; a secret's value is not repeated."""
    first = error.errors(include_url=False)[0]
    where = [str(part) for part in first["loc"]]
    key = ".".join(where)
    layers = (
        (given, f"option --{where[0].replace('_', '-')}" if where else "options"),
        (from_environ, f"environment variable {PREFIX}{'__'.join(where[:2]).upper()}"),
        (from_file, f"{source}: key {key}"),
    )
    place = next((label for layer, label in layers if _holds(layer, first["loc"])), f"{source}: key {key}")
    if first["type"] == "extra_forbidden":
        tables: dict[str, type[BaseModel]] = {
            "tradingview": TradingView, "simulated": Simulated, "backup": Backup, "flows": Flows, "paper": Paper,
        }  # fmt: skip
        table = tables.get(where[0], Settings) if len(where) > 1 else Settings
        return f"{place} is unknown: the keys there are {' '.join(table.model_fields)}"
    secret = any(word in key for word in ("url", "uri", "token", "notify"))
    value = "***" if secret else repr(first["input"])
    rule = first["msg"].removeprefix("Value error, ")
    return f"{place}: {rule}; it is {value}"


def _holds(layer: Mapping[str, Any], loc: tuple[int | str, ...]) -> bool:
    """Whether the value at `loc` came from this layer."""

    def walk() -> Iterator[bool]:
        inner: Any = layer
        for part in loc:
            if not isinstance(inner, Mapping):
                return
            yield part in inner
            inner = inner.get(str(part))

    return bool(loc) and all(walk())
