"""Cards as pages: `render_page` and `write_page` for one card, `comparison_markdown` and `write_comparison` for several students."""

from evenhand.model_cards.page.comparison import comparison_markdown
from evenhand.model_cards.page.comparison_folder import require_comparison, write_comparison
from evenhand.model_cards.page.html_page import render_page, write_page

__all__ = ["comparison_markdown", "render_page", "require_comparison", "write_comparison", "write_page"]
