"""Configuration file → checked configuration. The one module of the gateway that needs pydantic.

`python -m edge_client.config_file FILE` writes the checked configuration to its output, pickled: the gateway
lets a child of its own read the file (`read_config`), so that the validator's 12 MB end with the child.
"""

from __future__ import annotations

import functools
import json
import os
import pickle
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edge_client.config import GatewayConfig
from schemas.errors import BadInput


def load_config(path: Path) -> GatewayConfig:
    """Configuration file (.json, or .toml for people) → checked configuration.

    Raises:
        BadInput: Unreadable, not JSON or TOML, or a field at fault: the message has one line a
            mistake with field, value and bound.
    """
    try:
        text = path.read_text()
        document: Any = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not {'TOML' if path.suffix == '.toml' else 'JSON'}: {error}") from error
    try:
        return checked(document)
    except BadInput as error:
        raise BadInput("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from error


def checked(document: Mapping[str, Any]) -> GatewayConfig:
    """Content of a configuration file → checked configuration.

    Raises:
        BadInput: One line a mistake with field, value and bound.
    """
    try:
        return _adapter().validate_python(document)
    except ValidationError as error:
        raise BadInput("\n".join(_mistakes(error))) from error


def file_content(config: GatewayConfig) -> bytes:
    """Configuration → content of its file, JSON."""
    return _adapter().dump_json(config, indent=1)


@functools.cache
def _adapter() -> TypeAdapter[GatewayConfig]:
    return TypeAdapter(GatewayConfig)


def _mistakes(error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors():
        field = ".".join(str(part) for part in item["loc"]) or "the file"
        value = item.get("input")
        whole = isinstance(value, dict | list) or item["type"] in ("missing", "value_error")
        shown = "" if whole else f" is {value!r}:"
        if "code_hash" in field:
            shown = ""  # not even the hash of a code is printed
        unknown = item["type"] == "unexpected_keyword_argument"
        lines.append(f"{field}{shown} {'Keys of this name are not permitted' if unknown else item['msg']}")
    return lines


def main() -> int:
    """One argument, the file → 0 and the configuration, or EX_DATAERR and the mistakes."""
    try:
        config = load_config(Path(sys.argv[1]))
    except BadInput as error:
        print(error, file=sys.stderr)
        return os.EX_DATAERR
    sys.stdout.buffer.write(pickle.dumps(config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
