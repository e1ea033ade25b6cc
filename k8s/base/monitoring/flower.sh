#!/bin/sh
# Flower: Celery's queues and workers at /metrics. The broker's password comes from its secret file.
set -eu
CELERY_BROKER_URL="redis://:$(cat /run/secrets/redis_password)@redis:6379/0"
export CELERY_BROKER_URL
cat > /tmp/celeryconfig.py <<CONFIG
broker_transport_options = {"global_keyprefix": "mentor:broker:"}
CONFIG
cd /tmp
exec celery --config=celeryconfig flower --address=0.0.0.0 --port=5555 --persistent=False --loglevel=warning
