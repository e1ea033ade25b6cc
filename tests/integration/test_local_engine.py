"""The local engine against transformers itself, on a random tiny model and on the checked-in student."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from mentor.errors import DeadlineError, InfrastructureError, OverloadedError, UserError
from mentor.inference.base import Generation, SamplingParams
from mentor.inference.local import LocalEngine
from tests.support.random_model import VOCABULARY, random_model

GREEDY = SamplingParams(temperature=0, max_tokens=24)


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return random_model(64)


@pytest.fixture
async def engine(model: PreTrainedModel) -> AsyncIterator[LocalEngine]:
    """An engine with room for four rows, so that rows wait, join and leave."""
    running = LocalEngine(model, max_batch=4, max_queue=32, seed=0)
    yield running
    await running.close()


def prompts(count: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(1, 20, (count,), generator=generator).tolist()
    return [torch.randint(2, VOCABULARY, (length,), generator=generator).tolist() for length in lengths]


def reference(model: PreTrainedModel, prompt: list[int], max_tokens: int) -> tuple[int, ...]:
    output = model.generate(torch.tensor([prompt]), max_new_tokens=max_tokens, do_sample=False)
    return tuple(output[0, len(prompt) :].tolist())


def logprobs_of(model: PreTrainedModel, prompt: list[int], generation: Generation, temperature: float) -> list[float]:
    ids = torch.tensor([[*prompt, *generation.token_ids]])
    with torch.no_grad():
        logits = model(ids).logits[0, len(prompt) - 1 : -1] / temperature
    chosen = torch.tensor(generation.token_ids)[:, None]
    return [float(value) for value in logits.log_softmax(-1).gather(1, chosen).squeeze(1)]


async def test_greedy_tokens_equal_those_of_transformers_whatever_shares_the_batch(
    engine: LocalEngine, model: PreTrainedModel
) -> None:
    asked = prompts(11)
    found = await asyncio.gather(*(engine.generate(prompt, GREEDY) for prompt in asked))
    assert [g.token_ids for g in found] == [reference(model, prompt, 24) for prompt in asked]


async def test_requests_that_arrive_mid_flight_join_the_running_batch(
    engine: LocalEngine, model: PreTrainedModel
) -> None:
    early, late = prompts(2)
    params = SamplingParams(temperature=0, max_tokens=40)
    stream = engine.stream(early, params)
    first = await anext(stream)
    joined = await engine.generate(late, params)
    assert joined.token_ids == reference(model, late, 40)
    rest = [item async for item in stream]
    assert isinstance(rest[-1], Generation)
    assert rest[-1].token_ids == reference(model, early, 40)
    assert [first, *rest[:-1]] == list(zip(rest[-1].token_ids, rest[-1].logprobs or (), strict=True))


async def test_a_streams_deadline_bounds_the_wait_for_tokens_and_never_cancels_the_consumer(
    engine: LocalEngine,
) -> None:
    slowly = engine.stream([5, 6], SamplingParams(temperature=0, max_tokens=3), timeout_s=1.0)
    await anext(slowly)
    await asyncio.sleep(1.2)  # past the deadline, in the consumer's own time
    assert isinstance([item async for item in slowly][-1], Generation)
    await engine.pause()
    with pytest.raises(DeadlineError):
        await anext(engine.stream([5, 6], GREEDY, timeout_s=0.05))
    await engine.resume()


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.8])
async def test_logprobs_equal_those_of_a_full_forward(
    engine: LocalEngine, model: PreTrainedModel, temperature: float
) -> None:
    params = [SamplingParams(temperature=temperature, top_p=0.9, max_tokens=24, seed=n) for n in range(9)]
    asked = prompts(9)
    found = await asyncio.gather(*(engine.generate(p, s) for p, s in zip(asked, params, strict=True)))
    for prompt, generation in zip(asked, found, strict=True):
        expected = logprobs_of(model, prompt, generation, temperature)
        assert generation.logprobs == pytest.approx(expected, abs=1e-4)


async def test_a_seed_gives_the_same_tokens_alone_and_in_company(engine: LocalEngine) -> None:
    asked = prompts(8)
    params = [SamplingParams(max_tokens=24, seed=n) for n in range(8)]
    together = await asyncio.gather(*(engine.generate(p, s) for p, s in zip(asked, params, strict=True)))
    alone = [await engine.generate(p, s) for p, s in zip(asked, params, strict=True)]
    assert [g.token_ids for g in together] == [g.token_ids for g in alone]
    assert len({g.token_ids for g in together}) > 1


async def test_samples_of_one_prompt_without_a_seed_differ(engine: LocalEngine) -> None:
    found = await asyncio.gather(*(engine.generate([5, 6], SamplingParams(max_tokens=24)) for _ in range(6)))
    assert len({g.token_ids for g in found}) > 1


async def test_sampled_frequencies_follow_the_distribution(engine: LocalEngine, model: PreTrainedModel) -> None:
    prompt, count = [5, 6, 7], 2000
    sized = LocalEngine(model, max_batch=256, max_queue=count, seed=1)
    found = await asyncio.gather(*(sized.generate(prompt, SamplingParams(max_tokens=1)) for _ in range(count)))
    await sized.close()
    with torch.no_grad():
        probs = model(torch.tensor([prompt])).logits[0, -1].softmax(-1)
    seen = torch.bincount(torch.tensor([g.token_ids[0] for g in found]), minlength=VOCABULARY) / count
    assert float((seen - probs).abs().sum()) / 2 < 0.1  # total variation; about 0.04 is expected of 2,000 draws


async def test_top_k_of_one_is_greedy_and_its_logprob_is_untruncated(
    engine: LocalEngine, model: PreTrainedModel
) -> None:
    prompt = prompts(1)[0]
    generation = await engine.generate(prompt, SamplingParams(top_k=1, max_tokens=12))
    assert generation.token_ids == reference(model, prompt, 12)
    assert generation.logprobs == pytest.approx(logprobs_of(model, prompt, generation, 1.0), abs=1e-4)
    assert min(generation.logprobs or ()) < -1e-3


async def test_stop_tokens_end_a_generation_and_are_its_last_token(engine: LocalEngine, model: PreTrainedModel) -> None:
    prompt = prompts(1)[0]
    free = reference(model, prompt, 12)
    stop = next(token for token in free[1:] if token != free[0])
    generation = await engine.generate(prompt, SamplingParams(temperature=0, max_tokens=12, stop_token_ids=(stop,)))
    assert generation.token_ids == free[: free.index(stop) + 1]
    assert generation.finish_reason == "stop"


async def test_a_generation_is_cut_at_max_tokens_and_at_the_context(engine: LocalEngine) -> None:
    short = await engine.generate([5], SamplingParams(temperature=0, max_tokens=1))
    assert (len(short.token_ids), short.finish_reason) == (1, "length")
    long_prompt = [2 + n % 90 for n in range(60)]
    cut = await engine.generate(long_prompt, SamplingParams(temperature=0, max_tokens=500))
    assert len(cut.token_ids) <= 4


async def test_new_weights_take_effect_and_rows_in_flight_go_on_under_them(
    engine: LocalEngine, model: PreTrainedModel
) -> None:
    prompt, params = [7, 8, 9], SamplingParams(temperature=0, max_tokens=40)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(9)
    after = {name: tensor + 0.5 * torch.randn_like(tensor) for name, tensor in before.items()}
    try:
        stream = engine.stream(prompt, params)
        head = await anext(stream)
        assert isinstance(head, tuple)
        await engine.load_weights(after.items())
        assert torch.equal(model.state_dict()["model.norm.weight"], after["model.norm.weight"])
        whole = [item async for item in stream][-1]
        assert isinstance(whole, Generation)
        assert whole.token_ids[0] == head[0]
        fresh = await engine.generate(prompt, params)
        assert fresh.token_ids == reference(model, prompt, 40)
    finally:
        await engine.load_weights(before.items())
    restored = await engine.generate(prompt, params)
    assert restored.token_ids == reference(model, prompt, 40)


async def test_wrong_weights_are_refused_and_change_nothing(engine: LocalEngine, model: PreTrainedModel) -> None:
    before = model.state_dict()["model.norm.weight"].clone()
    good = ("model.norm.weight", before + 1)
    with pytest.raises(UserError, match="no tensor 'nope'"):
        await engine.load_weights([good, ("nope", before)])
    with pytest.raises(UserError, match="shape"):
        await engine.load_weights([good, ("lm_head.weight", before)])
    assert torch.equal(model.state_dict()["model.norm.weight"], before)


async def test_a_paused_engine_keeps_requests_until_it_is_resumed(engine: LocalEngine) -> None:
    await engine.pause()
    waiting = asyncio.create_task(engine.generate([5, 6], GREEDY))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.3)
    assert engine.stats().waiting == 1
    await engine.resume()
    assert (await waiting).token_ids


async def test_a_full_queue_refuses_and_a_cancelled_request_frees_its_place(model: PreTrainedModel) -> None:
    small = LocalEngine(model, max_batch=1, max_queue=2)
    await small.pause()
    tasks = [asyncio.create_task(small.generate([5, n + 2], GREEDY)) for n in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await small.generate([5, 9], GREEDY)
    tasks[0].cancel()
    await asyncio.gather(*tasks[:1], return_exceptions=True)
    await small.resume()
    assert (await tasks[1]).token_ids
    assert (await small.generate([5, 9], GREEDY)).token_ids
    await small.close()


async def test_a_deadline_is_kept_and_closing_fails_what_waits(model: PreTrainedModel) -> None:
    small = LocalEngine(model, max_batch=1)
    await small.pause()
    with pytest.raises(DeadlineError):
        await small.generate([5], GREEDY, timeout_s=0.05)
    left = asyncio.create_task(small.generate([5], GREEDY))
    await asyncio.sleep(0)
    await small.close()
    with pytest.raises(InfrastructureError, match="closed"):
        await left
    with pytest.raises(InfrastructureError, match="closed"):
        await small.generate([5], GREEDY)


async def test_a_failing_step_fails_its_requests_and_the_engine_lives_on(
    engine: LocalEngine, model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no memory left")

    with monkeypatch.context() as patch:
        patch.setattr(model, "forward", broken)
        with pytest.raises(InfrastructureError, match="no memory left"):
            await engine.generate([5, 6], GREEDY)
    assert (await engine.generate([5, 6], GREEDY)).token_ids == reference(model, [5, 6], 24)


@pytest.mark.parametrize(
    ("prompt", "params", "field"),
    [
        ([], GREEDY, "prompt"),
        ([5] * 64, GREEDY, "prompt"),
        ([VOCABULARY], GREEDY, "prompt"),
        ([-1], GREEDY, "prompt"),
        ([5], SamplingParams(temperature=-0.1), "temperature"),
        ([5], SamplingParams(top_p=0), "top_p"),
        ([5], SamplingParams(top_k=-2), "top_k"),
        ([5], SamplingParams(max_tokens=0), "max_tokens"),
    ],
)
async def test_impossible_requests_are_refused_by_field(
    engine: LocalEngine, prompt: list[int], params: SamplingParams, field: str
) -> None:
    with pytest.raises(UserError) as caught:
        await engine.generate(prompt, params)
    assert caught.value.field == field


def test_a_path_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no model"):
        LocalEngine(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot load the model"):
        LocalEngine(tmp_path)


def test_a_device_that_is_not_here_is_refused_by_name(model: PreTrainedModel) -> None:
    with pytest.raises(UserError, match="cannot use the device 'cuda:99'") as caught:
        LocalEngine(model, device="cuda:99")
    assert caught.value.field == "device"
