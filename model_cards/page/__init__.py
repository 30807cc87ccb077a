"""Cards and comparisons as pages: HTML as the Hub would show it, and one page of several students."""
