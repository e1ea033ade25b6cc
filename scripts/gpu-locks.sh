#!/usr/bin/env bash
# Every GPU lock resolves for Linux x86-64 and the Python of its base image: a dry run, nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
for service in $(printf '%s\n' services/*/image.yaml | cut -d/ -f2); do
  .venv/bin/uv pip install --quiet --dry-run --python-version 3.12 --python-platform x86_64-manylinux_2_28 \
    --target "$(mktemp -d)" --requirement "services/$service/requirements.gpu.lock"
  echo "$service: the GPU lock resolves"
done
