"""Everything specific to verl, and nothing else: registrations, a few guarded patches, and the classes verl loads.

``plugin`` is the module that every verl process imports (``VERL_USE_EXTERNAL_MODULES``); ``entry`` starts a run.
``PINNED_VERL`` is the one version that the contract tests cover.
"""

PINNED_VERL = "0.9.1"
PLUGIN_MODULE = "mentor_trainer.verl_ext.plugin"
RAY_TEMP_VARIABLE = "MENTOR_RAY_TEMP"
"""Where a local run's private Ray keeps its files; unset on a cluster."""
TEACHER_VARIABLE = "MENTOR_DISTIL_MODEL"
"""Folder of the model that stands in the reference's place; verl itself gives the reference the student's."""
