"""Container health: exit 0 if the URL answers 200. Standard library only, so that a check costs milliseconds."""

import os
import sys
import urllib.request

url = os.environ.get("MENTOR_HEALTH_URL", "")
try:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=3) as answer:
        sys.exit(0 if answer.status == 200 else 1)
except (OSError, ValueError) as error:
    print(f"{url}: {error}", file=sys.stderr)
    sys.exit(1)
