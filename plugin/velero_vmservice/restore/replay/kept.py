"""What is stored of an operation's end, and the description of it in Velero's output."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is stored of the operation's end, and what is owed."""

    published: bool = False
    """Whether the result is stored and its Event recorded."""
    elsewhere: bool = False
    """Whether another process has stored the result, before this one or beside it."""
    whole: bool = False
    """Whether nothing is left to store: the result, and with the last one the report."""
    never_before: bool = False
    """Whether no earlier process has stored a result, as far as this one has looked."""
    report: str = ""
    """Where the report of the whole restore lies; '' until it is stored."""
    report_command: str = ""
    """The command that shows the report once it is stored."""
    refusal: str = ""
    """Why the store did not take the result, or the report, when it was last asked."""
    go_on: str = ""
    """The command that makes result and report again, where Velero waits for them no more; else ''."""
    shown_by: str = ""
    """The command that shows what became of it without them; '' where the command that runs shows it itself."""

    def __str__(self) -> str:
        """Say what is stored and where, what is not and why; '' where that is not known yet."""
        if self.whole and self.report:
            return f"report: {self.report} ({self.report_command})"
        if self.whole:
            return f"the report is made when the restore's last object has ended: {self.report_command}"
        if not self.refusal:
            return ""
        if not self.go_on:
            return f"the {'report' if self.published else 'result'} is not stored yet: {self.refusal}"
        what = "the report is" if self.published else "its result and the report are"
        shown = f"; {self.shown_by} shows how each object has ended" if self.shown_by else ""
        return f"{what} not stored: {self.refusal}{shown}; when that is put right: {self.go_on}"
