"""How each provider has been answering: failures, the breaker's state and the last error, for all processes alike."""

from typing import ClassVar, Final, NamedTuple

from sinks.history_book import HistoryBook

CLOSED: Final = "closed"

_DAY_NS: Final = 86_400 * 10**9


class Health(NamedTuple):
    """One provider's health. Times are ns, None where it never happened."""

    provider: str
    state: str = CLOSED
    """The breaker's: `closed` (it is asked), `open` (it is left alone), `half-open` (it is tried)."""
    since: int | None = None
    """When it came into this state."""
    successes: int = 0
    """Good answers in a row while half-open."""
    failed_at: int | None = None
    last_error: str = ""
    answered_at: int | None = None
    """Of a good answer; written once in ten seconds at most."""


class HealthBook(HistoryBook):
    """One row a provider, its failures of the last day, and what refused our key."""

    TABLES: ClassVar[str] = """
CREATE TABLE IF NOT EXISTS provider_health(
  provider TEXT PRIMARY KEY, state TEXT NOT NULL, since INTEGER, successes INTEGER NOT NULL, failed_at INTEGER,
  last_error TEXT NOT NULL, answered_at INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS provider_failures(provider TEXT NOT NULL, at INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS provider_failures_by_time ON provider_failures(provider, at);
CREATE TABLE IF NOT EXISTS provider_refusals(
  provider TEXT NOT NULL, key TEXT NOT NULL, what TEXT NOT NULL, at INTEGER NOT NULL, text TEXT NOT NULL,
  PRIMARY KEY(provider, key, what)) WITHOUT ROWID;
"""

    def health(self, provider: str) -> Health:
        """One provider's."""
        rows = self.read("SELECT * FROM provider_health WHERE provider = ?", (provider,))
        return Health(*rows[0]) if rows else Health(provider)

    def all(self) -> list[Health]:
        """Every provider's that was ever asked, by name."""
        return [Health(*row) for row in self.read("SELECT * FROM provider_health ORDER BY provider")]

    def note_failure(self, provider: str, at: int, text: str) -> None:
        """Count a failure."""
        with self.transaction() as connection:
            connection.execute("INSERT INTO provider_failures VALUES(?, ?, ?)", (provider, at, text))
            connection.execute("DELETE FROM provider_failures WHERE provider = ? AND at <= ?", (provider, at - _DAY_NS))
        self.note_error(provider, at, text)

    def note_error(self, provider: str, at: int, text: str) -> None:
        """Keep the last error, counted or not."""
        self._set(provider, failed_at=at, last_error=text)

    def failures(self, provider: str, since: int) -> int:
        """How many there were after a moment."""
        rows = self.read("SELECT count(*) FROM provider_failures WHERE provider = ? AND at > ?", (provider, since))
        return int(rows[0][0])

    def forget_failures(self, provider: str) -> None:
        """Count anew from here."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM provider_failures WHERE provider = ?", (provider,))

    def set_state(self, provider: str, state: str, at: int) -> None:
        """Note that the breaker came into a state."""
        self._set(provider, state=state, since=at)

    def clear_successes(self, provider: str) -> None:
        """Begin to count good answers anew."""
        self._set(provider, successes=0)

    def count_success(self, provider: str) -> None:
        """Count one more good answer."""
        with self.transaction() as connection:
            connection.execute("UPDATE provider_health SET successes = successes + 1 WHERE provider = ?", (provider,))

    def note_answer(self, provider: str, at: int) -> None:
        """Note a good answer."""
        self._set(provider, answered_at=at)

    def refuse(self, provider: str, key: str, what: str, at: int, text: str) -> None:
        """Our key was refused for something.

        Args:
            provider: Its name.
            key: A fingerprint of the key, so that another one is tried anew; never the key.
            what: What was asked for: `NASDAQ 1m`.
            at: ns.
            text: The provider's words.
        """
        with self.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO provider_refusals VALUES(?, ?, ?, ?, ?)", (provider, key, what, at, text)
            )

    def refusal(self, provider: str, key: str, what: str, since: int) -> str | None:
        """What was said when the key was refused for it after a moment; None if it was not."""
        rows = self.read(
            "SELECT text FROM provider_refusals WHERE provider = ? AND key = ? AND what = ? AND at > ?",
            (provider, key, what, since),
        )
        return str(rows[0][0]) if rows else None

    def _set(self, provider: str, **values: object) -> None:
        """Change some columns of a provider's row, which is made if it is not there."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO provider_health VALUES(?, ?, NULL, 0, NULL, '', NULL)", (provider, CLOSED)
            )
            changes = ", ".join(f"{name} = ?" for name in values)
            connection.execute(f"UPDATE provider_health SET {changes} WHERE provider = ?", (*values.values(), provider))
