"""What a model wrote is vetted before BFCL's package evaluates it: well-meant answers pass, and nothing that reaches out."""

from __future__ import annotations

import copy
import json

import pytest

from mentor_evaluator.bfcl.child.vetting import Refused, vet_call, vet_decoding

METHODS = {"cd", "mkdir", "post_tweet", "sort"}
PRESENT = {"copy": copy, "json": json, "execution_results": object, "execute_multi_turn_func_call": print}


@pytest.mark.parametrize(
    "call",
    [
        "cd(folder='a')",
        "cd('..')",
        "post_tweet(content='call exit() or __import__(os)', tags=['#a'], extra={'k': [1, -2.5, None, True]})",
        "post_tweet(content=sort('x'))",
        "cd(folder='a' + 'b')",
        "cd(folder=2 ** 10 * 3)",
        "hallucinated(x=1)",
        "GorillaFileSystem.cd(folder='a')",
        "copy(source='a', destination='b')",  # a module's name: fails by itself, as a hallucinated function does
        "sum([1, 2])",
        "not python at all",
    ],
)
def test_well_meant_and_merely_wrong_calls_go_the_official_way(call: str) -> None:
    vet_call(call, METHODS, PRESENT)


@pytest.mark.parametrize(
    "call",
    [
        "__import__('os').system('touch /tmp/x')",
        "open(file='/tmp/x', mode='w')",
        "exit()",
        "cd(folder=open('/etc/passwd').read())",
        "cd(folder=().__class__.__base__.__subclasses__())",
        "cd.__self__.__class__(1)",
        "execution_results.clear()",
        "execute_multi_turn_func_call(x=1)",
        "copy.copy(x=1)",
        "json.codecs.open('x', 'w')",
        "(lambda: 1)()",
        "[cd(x) for x in iter(int, 1)]",
        "cd(folder=f'{open}')",
        "cd(folder=10**10**10)",
        "cd(folder='a' * 10**9)",
        "cd(folder=9 << 999999999)",
        "cd(folder=" + "[" * 90 + "]" * 90 + ")",
        "eval(expression='1')",
        "getattr(cd, '__self__')",
        "(x := 1)",
    ],
)
def test_a_call_that_reaches_out_or_grows_without_bound_is_refused(call: str) -> None:
    with pytest.raises(Refused):
        vet_call(call, METHODS, PRESENT)


@pytest.mark.parametrize("text", ["[f(x=2*3)]", "[f(x=1.05**10, y='a'+'b')]", "[f(x=n+1)]", "[f(x=g(y=1))]", "no call"])
def test_arithmetic_on_literals_and_names_is_decoded_as_officially(text: str) -> None:
    vet_decoding(text)


@pytest.mark.parametrize(
    "text",
    [
        "[f(x=1 + __import__('os').system('id'))]",
        "[f(x=[0] + [open('x', 'w')])]",
        "[f(x=10**10**10)]",
        "[f(x=(1).__class__ + 1)]",
        "[f(x='a' * 99999999999)]",
        "[f(x=" + "(" * 150 + "1" + ")" * 150 + "+" * 100 + "1)]",
    ],
)
def test_arithmetic_that_calls_or_explodes_is_refused_or_no_python(text: str) -> None:
    with pytest.raises(Refused):
        vet_decoding(text)
