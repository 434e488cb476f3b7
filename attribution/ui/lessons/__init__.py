"""The text of the lesson: one folder a language, with one file a chapter, one for the page and one for teachers."""
