#!/usr/bin/env bash
# psygnal 0.16.1: connecting a signal to the bound `emit` of another signal emits that other signal
# once, while it is being connected, before the first signal was ever emitted.
#
# `first.connect(second.emit)` is the natural way to hand a signal on. A window that opens on `second`
# is then open as soon as the connection is made. A lambda that calls `second.emit()` is not called.
#
# Seen: "bound emit: 1" and "lambda: 0" below. This script fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet psygnal==0.16.1
"$folder/venv/bin/python" - <<'PY' | tee "$folder/seen"
from psygnal import Signal


class Model:
    first = Signal()
    second = Signal()


def calls(connect):
    model, seen = Model(), []
    model.second.connect(lambda: seen.append("emitted"))
    connect(model)
    return len(seen)


print("bound emit:", calls(lambda model: model.first.connect(model.second.emit)))
print("lambda:", calls(lambda model: model.first.connect(lambda: model.second.emit())))
PY
printf 'bound emit: 1\nlambda: 0\n' | diff - "$folder/seen"
