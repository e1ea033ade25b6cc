#!/bin/sh
# Lints the protos and regenerates the committed stubs in mentor/rpc/v1; with --check, only proves that they match.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
buf=$("$python" -c 'import pathlib, sys; print(pathlib.Path(sys.executable).parent / "buf")')

if [ -n "$(git ls-files -- '*.proto' | grep -v '^proto/mentor/rpc/v1/')" ]; then
    echo "proto: a .proto file lies outside proto/mentor/rpc/v1" >&2
    exit 1
fi
(cd proto && "$buf" lint)

generate() {
    "$python" -m grpc_tools.protoc -I proto --python_out="$1" --pyi_out="$1" --grpc_python_out="$1" proto/mentor/rpc/v1/*.proto
}

if [ "${1:-}" != "--check" ]; then
    generate .
    exit 0
fi
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
generate "$fresh"
if ! diff -r -x __init__.py -x __pycache__ "$fresh/mentor/rpc/v1" mentor/rpc/v1; then
    echo "proto: mentor/rpc/v1 does not match proto/mentor/rpc/v1; run scripts/proto.sh" >&2
    exit 1
fi
