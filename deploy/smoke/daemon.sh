#!/usr/bin/env bash
# A Docker daemon of one's own under a folder, for machines that have the engine and run none: daemon.sh start|stop FOLDER.
# Everything it makes, bridge and firewall chains included, is gone after `stop`.
set -euo pipefail
action="$1" folder="$2"
case "$action" in
  start)
    mkdir -p "$folder/data" "$folder/exec"
    nohup dockerd --data-root "$folder/data" --exec-root "$folder/exec" -H "unix://$folder/docker.sock" \
      --pidfile "$folder/docker.pid" --mtu 1400 > "$folder/dockerd.log" 2>&1 &
    for _ in $(seq 60); do
      [ -S "$folder/docker.sock" ] && DOCKER_HOST="unix://$folder/docker.sock" "${DOCKER:-docker}" info >/dev/null 2>&1 && exit 0
      sleep 0.5
    done
    tail -5 "$folder/dockerd.log" >&2
    exit 1
    ;;
  stop)
    if [ -e "$folder/docker.pid" ]; then
      pid="$(cat "$folder/docker.pid")"
      kill "$pid" 2>/dev/null || true
      for _ in $(seq 60); do kill -0 "$pid" 2>/dev/null || break; sleep 0.5; done
      kill -9 "$pid" 2>/dev/null || true
    fi
    for mount in $(awk -v f="$folder/" 'index($2, f) == 1 {print $2}' /proc/mounts | sort -r); do umount -l "$mount" || true; done
    ip link delete docker0 2>/dev/null || true
    for table in filter nat; do
      iptables -t "$table" -S 2>/dev/null | grep -E '^-A .*(DOCKER|docker0)' | sed 's/^-A/-D/' \
        | while read -r rule; do eval "iptables -t $table $rule" 2>/dev/null || true; done
      for chain in DOCKER DOCKER-ISOLATION-STAGE-1 DOCKER-ISOLATION-STAGE-2 DOCKER-USER; do
        iptables -t "$table" -F "$chain" 2>/dev/null || true
      done
      for chain in DOCKER-ISOLATION-STAGE-1 DOCKER-ISOLATION-STAGE-2 DOCKER-USER DOCKER; do
        iptables -t "$table" -X "$chain" 2>/dev/null || true
      done
    done
    iptables -P FORWARD ACCEPT 2>/dev/null || true
    iptables -t nat -D POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE 2>/dev/null || true
    find /sys/fs/cgroup -depth -type d -path '*/docker*' -exec rmdir {} + 2>/dev/null || true
    rm -rf "$folder"
    ;;
  *) echo "daemon.sh start|stop FOLDER" >&2; exit 2 ;;
esac
