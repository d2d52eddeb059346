"""The live view: a run as it goes on, one card for each seat."""

from .widget import LiveView

__all__ = ["LiveView"]
