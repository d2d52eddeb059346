"""A run as a lesson: its stages open one by one, a class predicts and votes, and names come last."""

from .stages import lesson_bundle
from .widget import Lesson, teach

__all__ = ["Lesson", "lesson_bundle", "teach"]
