"""Do the services' own metrics account for every tool call of a run?"""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

from mentor.errors import InfrastructureError


def scrape(url: str, sample: str) -> float:
    """Sum over all labels of a counter at a service's ``/metrics``; 0 if it was never counted up.

    Raises:
        InfrastructureError: the service does not answer.
    """
    try:
        text = httpx.get(f"{url}/metrics", timeout=10, trust_env=False).text
    except httpx.HTTPError as error:
        raise InfrastructureError(f"cannot read the metrics of {url}: {error}") from error
    families = text_string_to_metric_families(text)
    return sum(s.value for family in families for s in family.samples if s.name == sample)
