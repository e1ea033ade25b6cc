#!/bin/sh
# Redis with the password from its secret file: never on a command line, never in the environment.
set -eu
umask 077
{ cat /etc/mentor/redis.conf; printf 'requirepass %s\n' "$(cat /run/secrets/redis_password)"; } > /tmp/redis.conf
exec redis-server /tmp/redis.conf
