"""The engine as every dataflow of a desk runs it: what goes wrong in a flow comes out as it was raised there."""

import ctypes
import gc
import re
import sys
from contextlib import suppress
from datetime import timedelta
from typing import Final

from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.run import cli_main

from dataflows.recovery import Recovery
from market.errors import DeskError

EPOCH: Final = timedelta(seconds=10)
"""Between two snapshots; as much is done again after a crash."""

_MALLOC: Final = ((-3, 32 << 20), (-1, 64 << 20))
"""M_MMAP_THRESHOLD: blocks up to the size are taken from the heap. M_TRIM_THRESHOLD: so much stays free at its end."""


def run(flow: Dataflow, recovery: Recovery, epoch: timedelta = EPOCH) -> None:
    """Run a flow and raise what went wrong in it as it was raised there.

    Raises:
        DeskError: The engine could not write its snapshots; or what the flow raised.
    """
    try:
        cli_main(flow, epoch_interval=epoch, recovery_config=recovery.config)  # type: ignore[no-untyped-call]
    except (BytewaxRuntimeError, RuntimeError) as error:
        found = cause(error)
        why = _SNAPSHOT_FAULT.search(str(found))
        if why is None:
            raise found from error
        msg = (
            f"recovery store {recovery.folder} cannot be written: {why[1]}; free space on its disk, or mend its "
            "permissions, and start again: what was stored is kept"
        )
        raise DeskError(msg) from error


_SNAPSHOT_FAULT: Final = re.compile(r'SqliteFailure\(.*Some\("(.*?)"\)\)')
"""How the engine's panic names what SQLite said when a snapshot could not be written."""


def cause(error: BaseException) -> BaseException:
    """The first error of a chain that Bytewax has wrapped: ours if there is one."""
    found: BaseException = error
    while found.__cause__ is not None:
        found = found.__cause__
        if isinstance(found, DeskError):
            break
    return found


def wake_fast() -> None:
    """Get a process ready for microseconds, once it has imported and compiled all that it needs."""
    # With the default of 5 ms, the keeper's thread would hold up a tick by that much, and again at each system call
    # that the flow's thread makes meanwhile.
    sys.setswitchinterval(0.00005)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    _keep_memory()


def _keep_memory() -> None:
    """Let the allocator keep what is freed.

    It gives blocks of a megabyte back at once, and to have their pages again costs several times what is written there.
    """
    with suppress(OSError, AttributeError):
        # Only the GNU library has it; elsewhere nothing is lost but time.
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, size in _MALLOC:
            mallopt(parameter, size)
