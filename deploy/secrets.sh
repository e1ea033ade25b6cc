#!/usr/bin/env bash
# Make the secrets that Compose mounts, where they do not exist yet. The folder is closed to other users of this machine;
# the files are readable, because each container's own user has to read them.
set -euo pipefail
folder="${1:-secrets}"
mkdir -p "$folder" && chmod 700 "$folder"
random() { head -c 24 /dev/urandom | base64 | tr -d '+/=\n'; }
for name in redis_password api_key worker_key search_key submit_key grafana_password; do
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
# The keys file that every service reads: digests, so that none of them holds a key. Lines of your own clients stay.
access="$folder/access_keys"
client() {
  line="$1: {key_sha256: \"$(tr -d '\n' < "$folder/$2" | sha256sum | cut -d ' ' -f 1)\", roles: [$3]}"
  grep -qxF "$line" "$access" 2>/dev/null && return
  { grep -v "^$1:" "$access" 2>/dev/null || true; echo "$line"; } > "$access.new"
  chmod 644 "$access.new" && mv -f "$access.new" "$access"
}
client operator api_key operate
client worker worker_key "run, search"
client sandbox search_key search
client job submit_key submit
