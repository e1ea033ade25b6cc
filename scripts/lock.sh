#!/usr/bin/env bash
# Pin every environment: local mode, development, and one lock per service. Run after changing a .in file.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
  local output="${*: -1}"
  CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile --quiet --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
    --strip-extras --no-emit-options --allow-unsafe "$@"
  # The CPU wheel names itself +cpu; which build is taken is decided where it is installed.
  sed -i "s/^torch==\\(.*\\)+cpu/torch==\\1/" "$output"
}
# Packages that are wanted without their dependencies: bfcl-eval pins numpy 1.26.4 and pulls the SDKs of 45 providers for code that
# is never called. No resolver can say that, but every lock is installed with --no-deps, so that a line at its end is all it takes.
alone() {
  printf '# installed without its dependencies (requirements/alone.in)\n' >> "$1"
  cat requirements/alone.in >> "$1"
}
compile requirements/local.in --output-file requirements/local.lock
alone requirements/local.lock
compile --constraint requirements/local.lock requirements/dev.in --output-file requirements/dev.lock
compile requirements/build.in --output-file requirements/build.lock
for service in $(printf '%s\n' services/*/image.yaml | cut -d/ -f2); do
  compile "services/$service/requirements.in" --output-file "services/$service/requirements.lock"
done
# GPU images: CUDA builds and, for the trainer, the engine that verl names. Locked for the oldest Python, so that the same pins
# install on their bases (3.12; `make gpu-locks` proves it) and on the CPU base, on which the rest of the build is checked.
for service in $(printf '%s\n' services/*/image.yaml | cut -d/ -f2); do
  source="services/$service/requirements.gpu.in"
  [ -e "$source" ] || source="services/$service/requirements.in"
  UV_CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
    --no-emit-index-url "$source" --output-file "services/$service/requirements.gpu.lock"
done
alone services/evaluator/requirements.lock
alone services/evaluator/requirements.gpu.lock
