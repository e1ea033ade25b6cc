#!/usr/bin/env bash
# Make a stand-in for the Dockerfiles' base image where nothing can be pulled: Debian with Python, from the package mirror that
# this machine uses, tagged with the name that BASE_IMAGE defaults to. Needs root, mmdebstrap and a Docker daemon.
set -euo pipefail
tag="${1:-python:3.11-slim-bookworm}" docker="${DOCKER:-docker}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mirror="$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' | awk '$2=="bookworm"{print $1; exit}')"
mmdebstrap --quiet --variant=minbase --include=python3-minimal,python3-venv,ca-certificates bookworm "$work/base.tar" "$mirror"
"$docker" import "$work/base.tar" mentor-standin-debian:latest >/dev/null
# The machine's own certificates, so that pip inside a build trusts what pip outside does.
cp /etc/ssl/certs/ca-certificates.crt "$work/ca-certificates.crt"
cat > "$work/Dockerfile" <<'DOCKERFILE'
FROM mentor-standin-debian:latest
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
DOCKERFILE
"$docker" build --quiet -t "$tag" "$work"
