"""One HTTP call to a provider: asked for before it is made, tried again where that helps, its trouble turned into ours.

Each provider of history has one `HttpCaller`, and a judge of its own that reads what its error bodies mean. What a
judge leaves alone is decided here by the status. JSON numbers with a fraction come as the text that was sent, as those
in quotes do, so that a price becomes a float once, where its row is built (`sources.history.rows`).
"""

import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cache
from ipaddress import ip_address
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

from market.errors import DeskError
from sources.history.provider import (
    BadAnswer,
    KeyRefused,
    Means,
    NotOffered,
    ProviderAway,
    ProviderError,
    QuotaSpent,
)
from sources.history.request import moment_text
from sources.pacing import retry_after_s

TRIES: Final = 5
"""Calls made for one answer at most; an answer that cannot be read is asked for twice."""
PATIENCE_S: Final = 60.0
"""A pause up to this is waited for here; a longer one is the caller's to plan with (`QuotaSpent`)."""
LONGEST_S: Final = 3 * 86_400.0
"""A longer Retry-After is cut to this. Source: https://developers.binance.com/docs/binance-spot-api-docs/rest-api,
"IP limits": bans last from two minutes to three days."""
BODY_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of one answer, unpacked: fifty thousand bars of the wordiest provider are 8 MB."""
_ANSWER_S: Final = 120.0
"""One answer takes no longer, however slowly it drips."""
_SECOND_NS: Final = 1_000_000_000
_CREDIBLE_S: Final = 3600.0
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered, with any status."""

    path: str
    """What was asked for, without the host and without a key."""
    status: int
    headers: Mapping[str, str]
    """By any case of the name."""
    body: bytes
    value: Any
    """The body as JSON, `None` where it is none; what `get` returns has one. Numbers with a fraction or an exponent,
    `NaN` and `Infinity` are the text that was sent; whole numbers are ints."""
    now_ns: int
    """The moment of the answer by the slower of two clocks, ours and the provider's `Date`: a bar that had not ended
    by then is still open. A `Date` that is an hour or more off is not believed."""

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The provider's own words, shortened, for an error's text."""
        value = self.value
        for key in ("msg", "message", "error", "error_message", "errorMessage", "detail", "fault"):
            if isinstance(value, dict) and value.get(key):
                value = value[key]
        shown = value if isinstance(value, str) else self.body[: 4 * _SHOWN].decode(errors="replace")
        return " ".join(shown.split())[:_SHOWN] or "(an empty body)"


class Busy(Exception):  # noqa: N818  # What a judge says; it never leaves this module.
    """Returned by a judge: ask again later. After all tries it becomes `QuotaSpent`."""

    def __init__(self, text: str, wait_s: float | None = None) -> None:
        """Say why, and how long if the provider says it."""
        super().__init__(text)
        self.wait_s = wait_s


Judge = Callable[[Answer], ProviderError | Busy | None]
"""Reads one answer, good ones too, and returns what is wrong with it; `None` leaves it to the status. What it calls
`ProviderAway` is tried again, as a server's error is; any other error of ours is raised at once."""


class HttpCaller:
    """Calls one provider by HTTP GET. Not thread-safe, as its provider is not."""

    def __init__(
        self,
        name: str,
        means: Means,
        urls: Sequence[str],
        *,
        judge: Judge = lambda _: None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        hidden: Sequence[str] = (),
        keyed: bool = False,
    ) -> None:
        """Nothing is connected yet.

        Args:
            name: Of the provider, for texts.
            means: Its clock, its patience and its quota.
            urls: Its address, and mirrors to turn to where one does not answer or refuses our region; no query.
            judge: Reads its errors.
            headers: Sent with each call.
            params: Sent with each call: keys that go into the query.
            hidden: Keys, blacked out in texts.
            keyed: Whether it wants a key, which a refusal is then about.

        Raises:
            DeskError: An address is none.
        """
        # A tenth of a second, that commands which fetch nothing need not pay.
        import httpx
        import stamina.instrumentation

        # Its own log of retries would go to standard output wherever no log was set up, into the middle of JSON.
        stamina.instrumentation.set_on_retry_hooks([])
        self.name = name
        self._means = means
        self._urls = tuple(_address(name, url) for url in urls)
        self._judge = judge
        self._params = dict(params or {})
        self._hidden = [secret for secret in hidden if secret]
        self._keyed = keyed
        # The clock is the seed, since chance, too, is given from outside.
        self._random = Random(means.now_ns())  # noqa: S311
        self._at = 0
        self._pause_s = 0.0
        self._unreadable = 0
        self._turned = 0
        self._client = httpx.Client(
            headers={"Accept": "application/json", "User-Agent": "PocketQuant", **(headers or {})},
            timeout=httpx.Timeout(30.0, connect=10.0),
            verify=_tls(),
            trust_env=not all(_is_loopback(url) for url in self._urls),
        )

    def get(self, path: str, params: Mapping[str, str | int] | None = None, *, weight: int = 1) -> Answer:
        """The answer to one question, with a status of 2xx and JSON that can be read.

        Args:
            path: From the address on, with its slash.
            params: The query.
            weight: What the call costs of the quota, each try of it.

        Raises:
            QuotaSpent: Ours says no, or the provider asks for a pause of more than a minute, or again and again.
            ProviderAway: It does not answer, or answers with its own trouble, after all tries.
            BadAnswer: The answer cannot be read, also at the second time, or is too large.
            KeyRefused: It refuses us.
            NotOffered: It does not have that.
        """
        import stamina

        self._unreadable = self._turned = 0
        question = {**self._params, **(params or {})}
        try:
            for attempt in stamina.retry_context(
                on=self._again, attempts=TRIES, timeout=None, wait_initial=0.5, wait_max=8.0
            ):
                with attempt:
                    if attempt.num > 1:
                        self._means.sleep(self._pause_s)
                    self._pause_s = attempt.next_wait * (1.0 + self._random.random())
                    return self._once(path, question, weight)
        except _Failed as error:
            msg = f"{self.name} does not answer: {error}; check the connection, try later, or name another provider"
            raise ProviderAway(self._clean(msg)) from error
        except _Unreadable as error:
            msg = f"{self.name} answers {path} with what cannot be read: {error}; try later, or name another provider"
            raise BadAnswer(self._clean(msg)) from error
        except Busy as error:
            until = self._means.now_ns() + int((PATIENCE_S if error.wait_s is None else error.wait_s) * _SECOND_NS)
            msg = f"{self.name} allows no call before {moment_text(until)}: {error}; try then, or name another provider"
            raise QuotaSpent(self._clean(msg), until) from error
        raise AssertionError  # The loop returns or raises.

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def _again(self, error: Exception) -> float | bool:
        """Whether one more try may help. The pause is ours to make (`Means.sleep`), so the library's own is none."""
        if isinstance(error, _Unreadable):
            self._unreadable += 1
            return 0.0 if self._unreadable == 1 else False
        if isinstance(error, Busy):
            if error.wait_s is None:
                return 0.0
            self._pause_s = error.wait_s
            return 0.0 if error.wait_s <= PATIENCE_S else False
        return 0.0 if isinstance(error, _Failed) else False

    def _once(self, path: str, params: Mapping[str, str | int], weight: int) -> Answer:
        import httpx

        self._means.ask(weight)
        try:
            answer = self._read(path, params)
        except httpx.DecodingError as error:
            msg = f"its compression is broken ({error})"
            raise _Unreadable(msg) from error
        except httpx.TransportError as error:
            self._turn()
            raise _Failed(str(error) or type(error).__name__) from error
        wrong = self._judge(answer)
        if isinstance(wrong, Busy) and wrong.wait_s is None:
            wrong.wait_s = self._retry_after(answer)
        if isinstance(wrong, ProviderAway):
            raise _Failed(str(wrong))
        if wrong is not None:
            # A provider may repeat our key in what it says.
            wrong.args = (self._clean(str(wrong)),)
            raise wrong
        if not answer.ok:
            self._refuse(answer)
        if answer.value is None:
            raise _Unreadable(self._why_unreadable(answer))
        return answer

    def _read(self, path: str, params: Mapping[str, str | int]) -> Answer:
        began = self._means.now_ns()
        body = bytearray()
        with self._client.stream("GET", self._urls[self._at] + path, params=dict(params)) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    msg = f"{self.name} answers {path} with more than {BODY_BYTES_MAX >> 20} MB; ask for less at a time"
                    raise BadAnswer(msg)
                if self._means.now_ns() - began > _ANSWER_S * _SECOND_NS:
                    msg = f"an answer was not whole after {_ANSWER_S:.0f} s"
                    raise _Failed(msg)
        now = self._means.now_ns()
        return Answer(
            path=path,
            status=response.status_code,
            headers=response.headers,
            body=bytes(body),
            value=_json(bytes(body)),
            now_ns=_slower(now, response.headers.get("date")),
        )

    def _refuse(self, answer: Answer) -> None:
        """Raise what a status other than 2xx means, where the judge did not say it."""
        status, told = answer.status, f"HTTP {answer.status} to {answer.path}: {answer.text}"
        wait_s = self._retry_after(answer)
        if status == 418 and wait_s is None:
            # A ban: each further call makes it longer.
            wait_s = 2 * PATIENCE_S
        if status in {418, 429} or (status == 503 and wait_s is not None):
            raise Busy(told, wait_s)
        if status >= 500 or status in {408, 425}:
            raise _Failed(told)
        if status in {401, 403, 451}:
            if status != 401 and not self._keyed and self._turn():
                raise _Failed(told)
            variable = f"POCKETQUANT_PROVIDERS__{self.name.upper()}__"
            mend = f"check {variable}KEY" if self._keyed else f"set {variable}URL to a mirror that does"
            msg = self._clean(f"{self.name} does not serve us: {told}; {mend}, or name another provider")
            raise KeyRefused(msg)
        if 300 <= status < 400:
            msg = self._clean(f"{self.name} sends us elsewhere: {told}; set its url to the address that answers")
            raise BadAnswer(msg)
        msg = self._clean(f"{self.name} does not have that: {told}; check the symbol, or name another provider")
        raise NotOffered(msg)

    def _turn(self) -> bool:
        """Go on with the next mirror, if there is one that was not tried for this answer."""
        self._turned += 1
        if self._turned >= len(self._urls):
            return False
        self._at = (self._at + 1) % len(self._urls)
        self._pause_s = 0.0
        return True

    def _retry_after(self, answer: Answer) -> float | None:
        return retry_after_s(answer.headers.get("retry-after"), self._means.now_ns(), LONGEST_S)

    def _clean(self, text: str) -> str:
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text

    @staticmethod
    def _why_unreadable(answer: Answer) -> str:
        try:
            json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            return f"{error}; {len(answer.body)} bytes, {answer.text[:80]!r}"
        return "null"


class _Failed(Exception):  # noqa: N818  # Never leaves this module.
    """No answer, or the provider's own trouble: another try may help."""


class _Unreadable(Exception):  # noqa: N818  # As above.
    """An answer that cannot be read: cut off, perhaps."""


@cache
def _tls() -> ssl.SSLContext:
    """One for all callers: reading the certificates that are to be trusted takes 20 ms."""
    import httpx

    return httpx.create_ssl_context()


def _json(body: bytes) -> Any:
    try:
        return json.loads(body, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None


def _slower(now_ns: int, date: str | None) -> int:
    """The earlier of our clock and the provider's, where the latter is near enough to be one."""
    if date is None:
        return now_ns
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return now_ns
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    theirs = int(moment.timestamp()) * _SECOND_NS
    return min(now_ns, theirs) if abs(now_ns - theirs) < _CREDIBLE_S * _SECOND_NS else now_ns


def _address(name: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and not parts.query and parts.port != 0
    except ValueError:
        good = False
    if not good:
        msg = f"url {url!r} of provider {name} is not http://host or https://host without a query; mend its setting"
        raise DeskError(msg)
    return url.rstrip("/")


def _is_loopback(url: str) -> bool:
    """Whether the address is this machine's own, which no proxy of the environment leads to."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
