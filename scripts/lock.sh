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
compile requirements/local.in --output-file requirements/local.lock
compile --constraint requirements/local.lock requirements/dev.in --output-file requirements/dev.lock
for service in sandbox retriever teacher trainer evaluator; do
  compile "services/$service/requirements.in" --output-file "services/$service/requirements.lock"
done
