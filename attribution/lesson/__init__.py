"""The lesson: ten chapters, each with one live figure, without the page that shows them."""
