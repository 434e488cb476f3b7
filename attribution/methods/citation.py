"""Citations of papers: a short form for text, and BibTeX for a bibliography."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Citation:
    """A paper.

    Attributes:
        authors: Full names, "First Last", in the paper's order.
        year: Year of publication.
        title: Title as printed.
        arxiv: arXiv identifier, such as "1312.6034"; empty if none.
        venue: Conference; empty if none.
        journal: Journal; empty if none.
    """

    authors: tuple[str, ...]
    year: int
    title: str
    arxiv: str = ""
    venue: str = ""
    journal: str = ""

    def __str__(self) -> str:
        """Return the short form, such as "Simonyan et al. 2013, arXiv:1312.6034"."""
        names = [author.split()[-1] for author in self.authors]
        who = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
        where = f"arXiv:{self.arxiv}" if self.arxiv else self.venue or self.journal
        return f"{who} {self.year}, {where}"

    @property
    def bibtex(self) -> str:
        """The BibTeX entry."""
        fields = {
            "author": " and ".join(self.authors),
            "title": f"{{{self.title}}}",
            "year": str(self.year),
            "eprint": self.arxiv,
            "archiveprefix": "arXiv" if self.arxiv else "",
            "booktitle": self.venue,
            "journal": self.journal,
        }
        key = re.sub(r"\W", "", f"{self.authors[0].split()[-1]}{self.year}{self.title.split()[0]}".lower())
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        kind = "article" if self.journal else "inproceedings" if self.venue else "misc"
        return "\n".join([f"@{kind}{{{key},", *lines, "}"])
