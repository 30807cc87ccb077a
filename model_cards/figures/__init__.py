"""The pictures of a report: `draw_pictures` draws every one that the report has the numbers for."""

from evenhand.model_cards.figures.pictures import REPORT_PICTURES, draw_pictures

__all__ = ["REPORT_PICTURES", "draw_pictures"]
