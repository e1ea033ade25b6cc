"""The attacks: a payload each, and the fields of a trajectory into which it is put.

Whatever a payload is, a page must show it as text. Scripts of payloads would set ``window.hacked``, and markup would make an
element with the id ``hacked``; a browser is asked for both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

SCRIPT = "<script>window.hacked=1</script>"
MARKUP = "\"'><b id=hacked>bold</b>"
PAYLOADS = {
    "script": SCRIPT,
    "script_closing_script": "</script><script>window.hacked=1</script>",
    "script_closing_title": "</title><script>window.hacked=1</script>",
    "script_closing_textarea": "</textarea><script>window.hacked=1</script>",
    "script_upper_case": "<SCRIPT>window.hacked=1</SCRIPT>",
    "script_with_source": "<script src=//127.0.0.1:9/hacked.js></script>",
    "script_data_source": "<script src='data:text/javascript,window.hacked=1'></script>",
    "script_nested": "<scr<script>ipt>window.hacked=1</scr</script>ipt>",
    "script_half_open": "<script>window.hacked=1//",
    "script_in_comment": "--><script>window.hacked=1</script><!--",
    "script_in_cdata": "]]><script>window.hacked=1</script>",
    "script_utf7": "+ADw-script+AD4-window.hacked=1+ADw-/script+AD4-",
    "script_entities": "&lt;script&gt;window.hacked=1&lt;/script&gt;",
    "script_numeric_entities": "&#60;script&#62;window.hacked=1&#60;/script&#62;",
    "script_full_width": "\uff1cscript\uff1ewindow.hacked=1\uff1c/script\uff1e",
    "script_with_null": "<scr\x00ipt>window.hacked=1</script>",
    "module": "<script type=module>window.hacked=1</script>",
    "attribute_break": MARKUP,
    "attribute_handler": '" autofocus onfocus=window.hacked=1 x="',
    "attribute_single": "' onmouseover='window.hacked=1",
    "attribute_backtick": "` onmouseover=window.hacked=1 `",
    "attribute_newline": '"\nonfocus="window.hacked=1" autofocus="',
    "image_error": "<img id=hacked src=x onerror=window.hacked=1>",
    "image_slash": "<img/src=x/onerror=window.hacked=1>",
    "svg_load": "<svg id=hacked onload=window.hacked=1>",
    "svg_script": "<svg><script>window.hacked=1</script></svg>",
    "svg_animate": "<svg><animate onbegin=window.hacked=1 attributeName=x dur=1s></svg>",
    "svg_foreign": "<svg><foreignObject><iframe srcdoc='<script>top.hacked=1</script>'></iframe></foreignObject></svg>",
    "svg_use": "<svg><use href='data:image/svg+xml,<svg id=x onload=window.hacked=1></svg>#x'/></svg>",
    "math": "<math><mtext><table><mglyph><style><img src=x onerror=window.hacked=1>",
    "iframe": "<iframe id=hacked src=javascript:top.hacked=1></iframe>",
    "iframe_srcdoc": "<iframe id=hacked srcdoc='<script>top.hacked=1</script>'></iframe>",
    "object": "<object id=hacked data='data:text/html,<script>top.hacked=1</script>'></object>",
    "embed": "<embed id=hacked src='data:text/html,x'>",
    "base": "<base id=hacked href=//127.0.0.1:9/>",
    "meta_refresh": "<meta id=hacked http-equiv=refresh content='0;url=//127.0.0.1:9/'>",
    "meta_csp": "<meta id=hacked http-equiv=content-security-policy content=\"script-src 'unsafe-inline'\">",
    "link_style": "<link id=hacked rel=stylesheet href=//127.0.0.1:9/hacked.css>",
    "style": "<style id=hacked>body{display:none}</style>",
    "style_attribute": "<b id=hacked style='position:fixed;inset:0'>over all</b>",
    "form": "<form id=hacked action=/sign-out method=post><button>",
    "form_action": "<input id=hacked form=x formaction=javascript:window.hacked=1 type=submit>",
    "details": "<details id=hacked open ontoggle=window.hacked=1>",
    "video": "<video id=hacked><source onerror=window.hacked=1></video>",
    "marquee": "<marquee id=hacked onstart=window.hacked=1>",
    "template": "<template id=hacked><script>window.hacked=1</script></template>",
    "plaintext": "<plaintext id=hacked>",
    "noscript": "<noscript><p title='</noscript><img src=x onerror=window.hacked=1>'>",
    "dom_clobbering": "<form id=hacked name=body><input name=querySelectorAll>",
    "link_javascript": "javascript:window.hacked=1",
    "link_javascript_markup": "<a id=hacked href=javascript:window.hacked=1>click</a>",
    "link_data": "data:text/html,<script>window.hacked=1</script>",
    "link_protocol_relative": "//127.0.0.1:9/",
    "markdown_link": "[click](javascript:window.hacked=1)",
    "markdown_image": "![x](http://127.0.0.1:9/hacked.png)",
    "markdown_html": "# title\n<img id=hacked src=x onerror=window.hacked=1>\n```html\n<script>window.hacked=1</script>\n```",
    "markdown_table": "|a|b|\n|-|-|\n|<b id=hacked>x</b>|y|",
    "template_jinja": "{{ 7 * 191 }}{% raw %}{{ settings }}",
    "template_jinja_block": "{% extends 'base.html.j2' %}{% block content %}<b id=hacked>x</b>{% endblock %}",
    "template_javascript": "${window.hacked=1}",
    "format_string": "%(row)s {0.__class__} {row.__globals__}",
    "ansi_colours": "\x1b[31mred\x1b[0m \x1b[2J\x1b[1;1H",
    "ansi_title": "\x1b]0;hacked\x07",
    "ansi_link": "\x1b]8;;javascript:window.hacked=1\x07click\x1b]8;;\x07",
    "carriage_return": "innocent\rhidden",
    "backspaces": "evil\b\b\b\bgood",
    "null": "before\x00after",
    "bidi_override": "\u202egnp.exe\u202c",
    "bidi_isolate": "\u2066left\u2069 \u2067right\u2069",
    "bidi_unclosed": "\u202d\u202e\u2067 the rest of the page",
    "bidi_marks": "a\u200eb\u200fc\u061cd",
    "zero_width": "pass\u200bword\u200d\u2060\ufeff",
    "tag_characters": "\U000e0041\U000e0042 invisible",
    "combining": "Z" + "\u0351\u0363\u0357" * 200,
    "line_separators": "a\u2028window.hacked=1\u2029b",
    "high_surrogate": "a\ud800b",
    "low_surrogate": "a\udfffb",
    "non_character": "a\ufffe\uffffb",
    "private_use": "\ue000j0123456789abcdef",
    "long_word": "w" * 100_000,
    "many_lines": "line\n" * 20_000,
    "emoji": "👩‍👩‍👧‍👦" * 500,
    "sql": "'; DROP TABLE trajectories; --",
    "fts": '" OR body:* NEAR("a" "b", 5) AND NOT ^x',
    "path": "../../../../etc/passwd",
    "path_encoded": "..%2f..%2fetc%2fpasswd",
    "crlf_header": "x\r\nset-cookie: hacked=1\r\n\r\n<script>window.hacked=1</script>",
    "json_break": '"}]}</script><script>window.hacked=1</script>',
}  # fmt: skip
MEGABYTE = "<b id=hacked>" + "m" * 1_000_000


def _in_question(text: str) -> dict[str, Any]:
    return {"question": text}


def _in_names(text: str) -> dict[str, Any]:
    return {"question_id": text, "model": text, "answer": text, "error": text}


def _in_turn(text: str) -> dict[str, Any]:
    return {"turns": [{"text": text, "reasoning": text, "finish_reason": text}]}


def _in_call(text: str) -> dict[str, Any]:
    call = {"name": text, "arguments": {text: [text, {"deep": text}]}, "id": text}
    broken = {"name": text, "raw": text, "error": text}
    seen = {"name": text, "content": text, "ok": False, "error_type": text, "call_id": text}
    return {"turns": [{"text": "I call", "tool_calls": [call, broken], "observations": [seen, seen]}]}


def _in_metadata(text: str) -> dict[str, Any]:
    verdict = {"reason": text, "values": {text: 0.5}, "notes": {text: text}}
    return {"metadata": {"correct": True, "verdict": verdict, text: text}}


FIELDS: dict[str, Callable[[str], dict[str, Any]]] = {
    "question": _in_question, "names": _in_names, "turn": _in_turn, "call": _in_call, "metadata": _in_metadata,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One payload in one group of fields; ``line`` is the trajectory as a file has it."""

    name: str
    payload: str
    line: dict[str, Any]


def cases() -> Iterator[Case]:
    """Every payload in every group of fields."""
    for number, (name, payload) in enumerate(PAYLOADS.items()):
        for group, place in FIELDS.items():
            base: dict[str, Any] = {"question_id": f"{name}-{group}", "question": "harmless", "sample": number}
            yield Case(f"{name}/{group}", payload, base | place(payload))


def broken_lines() -> dict[str, bytes]:
    """Lines that are no trajectories, or barely: each must be shown, or passed over, and break nothing."""
    deep = "[" * 100_000 + "]" * 100_000
    base = '{"question_id": "%s", "question": "q", "turns": [%s]}'
    spoken = '{"text": "t", "tool_calls": [{"name": "n", "arguments": {"a": %s}}]}'
    huge = {"text": "t", "tool_calls": [{"name": "n"}], "observations": [{"name": "n", "content": MEGABYTE}]}
    return {
        "not_json": b"<script>window.hacked=1</script>",
        "not_an_object": b'["<b id=hacked>"]',
        "truncated": b'{"question_id": "x", "question": "<b id=hacked>',
        "latin1": b'{"question_id": "latin1", "question": "caf\xe9 <b id=hacked>"}',
        "overlong_utf8": b'{"question_id": "overlong", "question": "\xc0\xbcscript\xc0\xbe"}',
        "null_bytes": b'\x00\x00\x00{"question": "x"}',
        "deep": deep.encode(),
        "deep_arguments": (base % ("deep", spoken % ("[" * 150 + "]" * 150))).encode(),
        "deeper_arguments": (base % ("deeper", spoken % deep)).encode(),
        "wrong_types": b'{"question_id": 7, "question": ["<b id=hacked>"], "turns": {"text": 1}, "sample": "x", "metadata": 3}',
        "huge_numbers": b'{"question_id": "huge", "sample": 1e400, "duration_s": -1e999, "turns": [], "question": "q"}',
        "nan": (base % ("nan", spoken % "NaN")).encode(),
        "unknown_fields": b'{"question_id": "new", "question": "q", "from_the_future": "<b id=hacked>"}',
        "empty": b"{}",
        "megabyte": json.dumps({"question_id": "megabyte", "question": "q", "turns": [huge]}).encode(),
    }  # fmt: skip
