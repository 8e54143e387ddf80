"""Whose token is a sign-in: claims that were verified, judged for this console."""

from __future__ import annotations

from typing import Any

import pytest

from webapp.accounts import MAX_SIGN_IN_AGE_S, Account, account_of
from webapp.errors import SignInRefused

NOW_S = 1_790_000_000
CLAIMS: dict[str, Any] = {"uid": "u-1", "auth_time": NOW_S, "role": "dispatcher", "name": "Anna"}


def test_fresh_token_with_a_role_is_an_account() -> None:
    assert account_of(CLAIMS, NOW_S * 1_000_000) == Account("u-1", "Anna", "dispatcher")


def test_token_that_is_too_old_is_no_sign_in() -> None:
    late_us = (NOW_S + MAX_SIGN_IN_AGE_S + 1) * 1_000_000
    with pytest.raises(SignInRefused, match="too old"):
        account_of(CLAIMS, late_us)


@pytest.mark.parametrize("role", [None, "owner", "admin", ["dispatcher"], ""])
def test_token_without_a_role_of_this_console_is_refused(role: Any) -> None:
    with pytest.raises(SignInRefused, match="no access"):
        account_of({**CLAIMS, "role": role}, NOW_S * 1_000_000)
