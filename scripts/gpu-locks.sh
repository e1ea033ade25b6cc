#!/usr/bin/env bash
# Every GPU lock resolves for Linux x86-64 and the Python of its base image: a dry run, nothing is installed. What is installed
# without its dependencies (requirements/alone.in) would contradict the rest by them, and is left out.
set -euo pipefail
cd "$(dirname "$0")/.."
wanted="$(mktemp)"
trap 'rm -f "$wanted"' EXIT
for service in $(printf '%s\n' services/*/image.yaml | cut -d/ -f2); do
  grep -vxFf requirements/alone.in "services/$service/requirements.gpu.lock" > "$wanted"
  .venv/bin/uv pip install --quiet --dry-run --python-version 3.12 --python-platform x86_64-manylinux_2_28 \
    --target "$(mktemp -d)" --requirement "$wanted"
  echo "$service: the GPU lock resolves"
done
