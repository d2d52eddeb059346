"""The picker: a panel put together by searching and clicking, with its price and its doubts."""

from .widget import Picker, pick_panel

__all__ = ["Picker", "pick_panel"]
