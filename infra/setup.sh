#!/bin/sh
# Makes .venv from the lock, once: `sh infra/setup.sh run` for the product, `... dev` with what the tests need; `... bench`
# makes .venv-bench, since the benchmarks' peer needs older libraries than the product. A second call finds its stamp and
# does nothing. What is missing gets one line that says what to do.
set -eu
cd "$(dirname "$0")/.."
kind=${1:-run}
venv=.venv
case $kind in
run) lock=requirements.lock ;;
dev) lock=requirements-dev.lock ;;
bench) lock=requirements-bench.lock venv=.venv-bench ;;
*) echo "setup: '$kind' is none of run, dev, bench" >&2 && exit 2 ;;
esac

# The stamp names the lock that was installed; the project itself is installed in place, so its code is always current.
want=$(cksum <"$lock" | tr ' ' -)
dev=$(cksum <requirements-dev.lock | tr ' ' -)
for stamp in "$venv/.installed-$kind-$want" "$venv/.installed-dev-$dev"; do
	if [ -e "$stamp" ] && [ -x "$venv/bin/python" ]; then exit 0; fi
done

fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))'
python=
for candidate in ${PYTHON:-python3.12 python3.11 python3 python}; do
	if "$candidate" -c "$fits" 2>/dev/null; then python=$candidate && break; fi
done
if [ -z "$python" ]; then
	found=$(${PYTHON:-python3} --version 2>&1 | head -n 1) || found="none at all"
	echo "setup: PocketQuant needs Python 3.11 or 3.12, found $found; install one, or name it: make run PYTHON=/path/to/python3.12" >&2
	exit 1
fi
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
	version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
	echo "setup: $python lacks the venv module; install it (Debian, Ubuntu: apt install python$version-venv) and try again" >&2
	exit 1
fi

if ! "$venv"/bin/python -c "$fits" 2>/dev/null; then
	rm -rf "$venv"
	"$python" -m venv "$venv"
fi
echo "setup: installing $lock into $venv with $("$python" --version) ..." >&2
# --no-deps: the lock is complete, and older pips cannot check hashes while they resolve extras.
"$venv"/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$lock" ||
	{ echo "setup: pip could not install $lock (its own message is above); is a package index reachable?" >&2 && exit 1; }
"$venv"/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ||
	{ echo "setup: pip could not install the project itself (its own message is above)" >&2 && exit 1; }
if [ "$kind" != bench ]; then
	echo "setup: compiling the kernels, once ..." >&2
	"$venv"/bin/python -c '
from operators.kernels import kernels
from trading.entries import entry
kernels()
entry()' ||
		{ echo "setup: the kernels could not be compiled (the message is above)" >&2 && exit 1; }
fi
rm -f "$venv"/.installed-*
touch "$venv/.installed-$kind-$want"
