"""JSON responses that can carry any string, lone surrogates included (they have no UTF-8 form, but a JSON escape)."""

from __future__ import annotations

import json
from typing import Any

from fastapi.responses import JSONResponse


class AsciiJSONResponse(JSONResponse):  # type: ignore[misc]
    """JSON with everything beyond ASCII escaped."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")
