"""What of the rollouts becomes a step's batch: verl's replay buffer, loaded by ``trainer.v1.sampler.custom_sampler``.

It adds a bound and one distinction to verl's dynamic sampling (DAPO, arXiv 2503.14476, Section 3.2), which draws further
questions in place of groups whose samples were all rewarded alike. What infrastructure ended has no reward: it makes no
difference between samples, and a group that it took whole is no group without signal but an outage, for the trainer to see.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import transfer_queue as tq  # type: ignore[import-untyped]
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

POLL_SECONDS = 0.03
"""verl looks for finished rollouts every two seconds, longer than a small model needs for all of them."""


class MentorReplayBuffer(ReplayBuffer):  # type: ignore[misc]
    """Groups of a step. ``sampler_kwargs``: ``dynamic``, ``train_batch_size`` and ``max_batches``.

    ``max_batches``: at most so many batches of questions are drawn for one step; then groups without signal are kept, and
    the step is what it is. A student that solves all that is left would otherwise draw for ever.
    """

    def __init__(
        self,
        trainer_mode: str,
        trainer_config: Any,
        max_off_policy_threshold: int | None,
        max_off_policy_strategy: str,
        sampler_kwargs: Mapping[str, Any],
        refill_fn: Any = None,
    ) -> None:
        self._budget = int(sampler_kwargs["train_batch_size"]) * (int(sampler_kwargs["max_batches"]) - 1)
        self._evicted = 0
        self._step: int | None = None
        self.watch: Callable[[], None] = lambda: None
        """Called now and then while rollouts are waited for; what it raises ends the run."""
        super().__init__(
            trainer_mode="sync",
            trainer_config=trainer_config,
            max_off_policy_threshold=max_off_policy_threshold,
            max_off_policy_strategy=max_off_policy_strategy,
            sampler_kwargs=sampler_kwargs,
            poll_interval=POLL_SECONDS,
            refill_fn=refill_fn,
            filter_groups_metric="reward" if sampler_kwargs["dynamic"] else None,
            train_batch_size=int(sampler_kwargs["train_batch_size"]),
            gen_batch_size=1,
        )

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> Any:
        """verl's sampling; a new step has a new budget."""
        if self._step != global_steps:
            self._step, self._evicted = global_steps, 0
        return super().sample(global_steps=global_steps, partition_id=partition_id, batch_size=batch_size)

    def _wait_for_next_poll(self, partition_id: str, last_debug_time: float) -> float:
        self.watch()
        return float(super()._wait_for_next_poll(partition_id, last_debug_time))

    def _select_prompt_uids(self, partition_id: str, sampleable_keys: set[str], batch_size: int) -> Any:
        """The groups that were drawn first, of those that may be taken: verl takes them in the order of a set."""
        chosen, *snapshots = super()._select_prompt_uids(partition_id, sampleable_keys, len(sampleable_keys))
        drawn = {uid: place for place, uid in enumerate(self.prompt_global_steps[partition_id])}
        return (sorted(chosen, key=drawn.__getitem__)[:batch_size], *snapshots)

    def _dapo_filtered_keys(self, partition_id: str) -> tuple[set[str], Counter[float]]:
        """Finished groups without signal, as many as the step's budget still allows, in the order of their ids."""
        if partition_id == "val" or self.filter_groups_metric is None or self._evicted >= self._budget:
            return set(), Counter()
        known = self._dapo_classification_cache[partition_id]
        finished = self.finished_keys[partition_id]
        for gone in known.keys() - finished:
            del known[gone]
        if fresh := finished - known.keys():
            keys = [key for key in self.partitions[partition_id] if key.split("_")[0] in fresh]
            fields = tq.kv_batch_get(keys=keys, partition_id=partition_id, select_fields=["rm_scores", "extra_fields"])
            rewards = rewards_of_groups(keys, fields["rm_scores"], fields["extra_fields"])
            known.update({uid: shared_reward(rewards[uid]) for uid in fresh})
        alike = sorted(uid for uid, reward in known.items() if reward is not None)[: self._budget - self._evicted]
        self._evicted += len(alike)
        return set(alike), Counter(known[uid] for uid in alike)


def rewards_of_groups(keys: Iterable[str], scores: Iterable[Any], fields: Iterable[Any]) -> dict[str, list[float]]:
    """Rewards by group of the samples that really happened.

    Args:
        keys: verl's names of samples, ``GROUP_SAMPLE_PART``.
        scores: token rewards of each sample.
        fields: its extra fields, with ``reward_extra_info``.
    """
    rewards: dict[str, list[float]] = defaultdict(list)
    for key, score, field in zip(keys, scores, fields, strict=True):
        info = getattr(field, "data", field).get("reward_extra_info", {})
        if not info.get("excluded"):
            rewards[key.split("_")[0]].append(float(score.sum()))
    return rewards


def shared_reward(rewards: list[float]) -> float | None:
    """The reward that all of a group have alike, None where they differ, or where fewer than two were not lost."""
    return rewards[0] if len(rewards) > 1 and max(rewards) == min(rewards) else None
