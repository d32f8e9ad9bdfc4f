"""The one family of errors that users can cause."""


class PezError(Exception):
    """Bad input: one sentence that says what is wrong and what to do about it.

    The CLI prints it and exits with code 2.
    """


class PezWarning(UserWarning):
    """What a user should know though all goes on; the CLI prints it as a line on stderr."""
