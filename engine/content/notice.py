"""What a reader of content should know although it stops nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NoticeKind = Literal["differing-copies", "stale-elm", "unproven-elm", "no-elm", "no-cql", "missing-value-set"]


@dataclass(frozen=True, slots=True)
class Notice:
    """One remark: its kind for programs, a sentence for people, and the file or resource it is about."""

    kind: NoticeKind
    message: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message
