"""Classifiers: the recipe with a section `task`, its data and models, their distillation and measuring."""
