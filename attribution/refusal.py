"""The one error that is meant for people."""


class Refusal(ValueError):
    """A request that cannot be served, in one sentence: what, the value, the remedy.

    The page shows the text as it is, the command line prints it, a batch writes it in the row.
    """
