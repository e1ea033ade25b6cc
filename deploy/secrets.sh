#!/usr/bin/env bash
# Make the secrets that Compose mounts, where they do not exist yet. The folder is closed to other users of this machine;
# the files are readable, because each container's own user has to read them.
set -euo pipefail
folder="${1:-secrets}"
mkdir -p "$folder" && chmod 700 "$folder"
random() { head -c 24 /dev/urandom | base64 | tr -d '+/=\n'; }
for name in redis_password api_key grafana_password; do
  if [ ! -s "$folder/$name" ]; then
    random > "$folder/$name"
    chmod 444 "$folder/$name"
    echo "made $folder/$name"
  fi
done
# The same password in the form that redis_exporter reads.
if [ ! -s "$folder/redis_exporter" ] || ! grep -qF "$(cat "$folder/redis_password")" "$folder/redis_exporter"; then
  rm -f "$folder/redis_exporter"
  printf '{"redis://redis:6379": "%s"}' "$(cat "$folder/redis_password")" > "$folder/redis_exporter"
  chmod 444 "$folder/redis_exporter"
fi
