"""What every document in Firestore has: a version, and readers that pass over fields they do not know."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION: Final = 1


class Document(BaseModel):
    """A document; a field is only ever added, with a default."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    schema_version: int = SCHEMA_VERSION

    def document(self) -> dict[str, Any]:
        """As Firestore takes it."""
        return self.model_dump(mode="json")
