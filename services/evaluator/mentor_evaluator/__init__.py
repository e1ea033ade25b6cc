"""The evaluator: measures a model on a question set with tools, and how closely its tool use follows the teacher's."""
