"""The agent loop, one implementation for teacher, trainer and evaluator."""

from mentor.rollout.chat_policy import ChatPolicy
from mentor.rollout.driver import Schedule, Task, run_many
from mentor.rollout.limits import RolloutLimits
from mentor.rollout.loop import ToolRunner, rollout
from mentor.rollout.policy import Policy, TokenPolicy
from mentor.rollout.prompts import USER_PROMPT, user_messages

__all__ = [
    "USER_PROMPT",
    "ChatPolicy",
    "Policy",
    "RolloutLimits",
    "Schedule",
    "Task",
    "TokenPolicy",
    "ToolRunner",
    "rollout",
    "run_many",
    "user_messages",
]
