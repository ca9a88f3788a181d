"""Flows that run in the test's own process: their tasks at once, without a server, and what they publish is kept."""

from types import SimpleNamespace
from typing import Any

from prefect import Task
from prefect.logging import disable_run_logger
from prefect.states import Completed, Failed, State

from flows import artifacts


class Ran:
    """The future of a task that has run."""

    def __init__(self, value: Any, error: BaseException | None) -> None:
        self._value = value
        said = isinstance(value, State)
        self.state = value if said else Completed() if error is None else Failed(message=str(error))

    def wait(self, timeout: float | None = None) -> None:
        """It is over."""

    def result(self) -> Any:
        """What it returned."""
        return self._value


def submit(task: Task[Any, Any], *args: Any, **kwargs: Any) -> Ran:
    """Run a task here and now."""
    try:
        return Ran(task.fn(*args, **kwargs), None)
    except Exception as error:  # noqa: BLE001  # A future keeps it.
        return Ran(None, error)


def run_here(flow: Any, monkeypatch: Any, **parameters: Any) -> SimpleNamespace:
    """Run a flow with these parameters as its form gives them.

    Returns:
        The `state` it ended in, its `message`, and by key what was `published`.
    """
    published: dict[str, str] = {}
    monkeypatch.setattr(Task, "submit", submit)
    monkeypatch.setattr(artifacts, "publish", lambda key, markdown, _description: published.update({key: markdown}))
    with disable_run_logger():
        state = flow.fn(**flow.validate_parameters(parameters))
    return SimpleNamespace(state=state, message=state.message, published=published)
