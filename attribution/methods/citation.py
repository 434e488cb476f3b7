"""The source of an idea: for a sentence, for the README of a figure, and for a bibliography."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Citation:
    """A paper.

    Attributes:
        authors: "First Last" each, in the order of the paper.
        year: Of publication.
        title: As printed.
        arxiv: Identifier, such as "1312.6034"; empty where there is none.
        venue: The conference, where there was one.
        journal: The journal, where it appeared in one.
    """

    authors: tuple[str, ...]
    year: int
    title: str
    arxiv: str = ""
    venue: str = ""
    journal: str = ""

    def __str__(self) -> str:
        """Short form: Simonyan et al. 2013, arXiv:1312.6034."""
        names = [author.split()[-1] for author in self.authors]
        who = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
        where = f"arXiv:{self.arxiv}" if self.arxiv else self.venue or self.journal
        return f"{who} {self.year}, {where}"

    @property
    def bibtex(self) -> str:
        """An entry for a bibliography."""
        fields = {
            "author": " and ".join(self.authors),
            "title": f"{{{self.title}}}",
            "year": str(self.year),
            "eprint": self.arxiv,
            "archiveprefix": "arXiv" if self.arxiv else "",
            "booktitle": self.venue,
            "journal": self.journal,
        }
        key = f"{self.authors[0].split()[-1].lower()}{self.year}{self.title.split()[0].strip(':,').lower()}"
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        kind = "article" if self.journal else "inproceedings" if self.venue else "misc"
        return "\n".join([f"@{kind}{{{key},", *lines, "}"])
