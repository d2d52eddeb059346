"""A run's stages: the plan, the panel, the judge, the synthesis."""
