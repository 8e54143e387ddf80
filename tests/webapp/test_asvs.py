"""OWASP ASVS 5.0 items of the console → the tests that show them; what is not met is in docs/security.md.

Numbers are those of ASVS 5.0.0, of the chapters that docs/security.md names, each of them whole.
An item without a test stands in docs/security.md with the reason: this test holds both lists together.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

MET: dict[str, list[str]] = {
    # input and business logic
    "2.2.1": [
        "test_app::test_malformed_close_is_bad_input",
        "test_app::test_sign_in_with_a_malformed_token_is_bad_input",
        "test_report::test_period_is_bounded_and_said_so",
        "test_handling::test_service_is_sent_once_and_must_be_known",
    ],
    "2.2.2": ["test_actions::test_too_long_word_is_refused_without_repeating_it"],
    "2.3.1": [
        "test_lifecycle::test_close_is_allowed_exactly_where_the_table_says",
        "test_handling::test_no_sequence_of_actions_loses_an_alarm_or_leaves_the_table",
    ],
    "2.3.2": [
        "test_handling::test_right_safe_word_ends_the_alarm_and_wrong_ones_are_counted_until_it_is_real"
    ],
    "2.3.3": ["test_repository_handling::test_refused_rule_writes_neither_alarm_nor_trail"],
    "2.3.4": [
        "test_repository_handling::test_of_two_racing_claims_exactly_one_wins",
        "test_browser_queue::test_of_two_browsers_that_claim_at_once_one_wins_and_the_other_is_told_who",
    ],
    "2.4.1": [
        "test_limits::test_requests_are_limited_by_account",
        "test_limits::test_sign_in_is_limited_by_address_and_says_how_long_to_wait",
        "test_limits::test_safe_words_are_limited_over_all_alarms_and_the_refusal_is_kept",
    ],
    # web front end
    "3.2.1": ["test_app::test_pages_are_not_cached_and_not_sniffed"],
    "3.2.2": [
        "test_static::test_no_script_makes_html_of_data",
        "test_browser_card::test_markup_in_an_alarm_stays_text",
        "test_browser_card::test_alarm_appears_is_claimed_handled_closed_and_reopened",
        "test_homes::test_home_shows_sensors_alarms_and_test_and_markup_stays_text",
        "test_homes::test_search_does_not_run_what_is_searched_for",
        "test_report::test_page_shows_the_figures_and_markup_stays_text",
        "test_app::test_markup_in_a_name_stays_text",
    ],
    "3.2.3": [
        "test_static::test_scripts_are_modules_and_keep_nothing_where_a_name_in_the_page_could_take_its_place"
    ],
    "3.3.1": ["test_app::test_behind_tls_the_cookie_is_host_bound_and_secure"],
    "3.3.2": ["test_app::test_cookie_is_http_only_and_strict_and_plain_on_loopback"],
    "3.3.3": ["test_app::test_behind_tls_the_cookie_is_host_bound_and_secure"],
    "3.3.4": ["test_app::test_cookie_is_http_only_and_strict_and_plain_on_loopback"],
    "3.4.1": ["test_app::test_behind_tls_the_cookie_is_host_bound_and_secure"],
    "3.4.2": ["test_app::test_no_answer_allows_another_origin"],
    "3.4.3": ["test_app::test_content_security_policy_names_a_new_nonce_each_time"],
    "3.4.4": ["test_app::test_every_answer_has_its_security_headers"],
    "3.4.5": ["test_app::test_every_answer_has_its_security_headers"],
    "3.4.6": ["test_app::test_every_answer_has_its_security_headers"],
    "3.4.8": ["test_app::test_every_answer_has_its_security_headers"],
    "3.5.1": ["test_app::test_every_post_wants_the_csrf_token"],
    "3.5.2": ["test_app::test_request_from_another_site_is_refused_even_with_the_token"],
    "3.5.3": ["test_app::test_nothing_is_changed_by_a_safe_method"],
    "3.5.7": ["test_app::test_scripts_hold_no_data"],
    "3.5.8": ["test_app::test_every_answer_has_its_security_headers"],
    "3.6.1": ["test_app::test_content_security_policy_names_a_new_nonce_each_time"],
    # sessions
    "7.2.1": ["test_app::test_every_route_but_the_public_ones_wants_a_session"],
    "7.2.2": ["test_app::test_sign_in_gives_a_fresh_id_and_the_planted_one_stays_worthless"],
    "7.2.3": ["test_app::test_session_ids_are_random_and_long"],
    "7.2.4": ["test_app::test_sign_in_gives_a_fresh_id_and_the_planted_one_stays_worthless"],
    "7.3.1": ["test_app::test_session_ends_when_its_page_is_silent_and_lives_while_it_speaks"],
    "7.3.2": ["test_app::test_session_ends_after_a_shift_in_any_case"],
    "7.4.1": [
        "test_app::test_sign_out_ends_the_session_for_every_copy_of_the_cookie",
        "test_browser_sign_in::test_sign_out_ends_at_the_sign_in_page",
    ],
    "7.4.2": ["test_actions::test_signed_out_account_is_out_at_its_next_action"],
    "7.4.4": ["test_operations::test_every_page_has_the_way_out"],
    "7.4.5": ["test_actions::test_signed_out_account_is_out_at_its_next_action"],
    "7.6.2": ["test_app::test_refused_account_gets_no_session"],
    # authorisation
    "8.2.1": [
        "test_actions::test_every_route_names_its_power_or_is_public",
        "test_actions::test_route_that_names_no_power_is_shut",
        "test_operations::test_engineer_begins_at_operations_and_is_kept_from_alarms",
        "test_report::test_report_is_the_supervisors",
    ],
    "8.2.3": [
        "test_operations::test_engineer_sees_homes_without_anything_personal",
        "test_lifecycle::test_every_rule_writes_console_fields_only",
    ],
    "8.3.1": ["test_actions::test_take_over_is_the_supervisors_alone_and_refusal_is_kept"],
    "8.3.2": ["test_actions::test_role_taken_away_counts_at_the_next_action"],
    # tokens of Firebase Auth
    "9.2.1": ["test_accounts::test_token_that_is_too_old_is_no_sign_in"],
    "9.2.2": ["test_accounts::test_token_without_a_role_of_this_console_is_refused"],
    # logs and errors
    "16.2.1": ["test_audit::test_entry_names_who_what_when_before_and_after_without_personal_data"],
    "16.2.2": ["test_audit::test_entry_names_who_what_when_before_and_after_without_personal_data"],
    "16.2.5": [
        "test_actions::test_safe_word_cancels_and_is_neither_logged_nor_kept",
        "test_repository::test_unreadable_document_is_left_out_and_its_content_stays_out_of_the_log",
    ],
    "16.3.1": ["test_app::test_sign_in_and_its_refusal_are_logged_without_the_token"],
    "16.3.2": ["test_actions::test_take_over_is_the_supervisors_alone_and_refusal_is_kept"],
    "16.3.3": ["test_limits::test_safe_words_are_limited_over_all_alarms_and_the_refusal_is_kept"],
    "16.4.2": [
        "test_audit::test_edit_of_any_field_of_any_entry_is_found",
        "test_verify_audit::test_tampering_in_the_database_is_exit_status_1",
    ],
    "16.5.1": ["test_app::test_unexpected_error_tells_nothing_of_itself"],
    "16.5.2": [
        "test_app::test_silent_database_is_said_to_be_silent",
        "test_actions::test_silent_sign_in_service_stops_nobody_for_ten_minutes",
        "test_operations::test_a_silent_part_is_said_to_be_silent_and_hides_no_other",
    ],
    "16.5.3": ["test_actions::test_refusal_stands_also_if_it_cannot_be_recorded"],
    "16.5.4": ["test_app::test_unexpected_error_tells_nothing_of_itself"],
}
NOT_MET_ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| (.+?) \|$", re.M)


def names_in(module: str) -> set[str]:
    tree = ast.parse((HERE / f"{module}.py").read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("item", MET, ids=str)
def test_every_item_names_tests_that_exist(item: str) -> None:
    assert MET[item]
    for one in MET[item]:
        module, _, name = one.partition("::")
        assert name in names_in(module), f"{item}: {one} does not exist"


def test_what_is_not_met_has_a_reason_and_is_claimed_nowhere() -> None:
    rows = dict(NOT_MET_ROW.findall((ROOT / "docs" / "security.md").read_text()))
    assert len(rows) >= 10
    assert rows.keys() & MET.keys() == set()
    assert all(len(reason) > 20 for reason in rows.values())


def test_every_item_of_the_chapters_is_either_shown_or_explained() -> None:
    chapters = {
        **{"2.1": 3, "2.2": 3, "2.3": 5, "2.4": 2},
        **{"3.1": 1, "3.2": 3, "3.3": 5, "3.4": 8, "3.5": 8, "3.6": 1, "3.7": 5},
        **{"7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 3, "7.6": 2},
        **{"8.1": 4, "8.2": 4, "8.3": 3, "8.4": 2},
        **{"9.1": 3, "9.2": 4},
        **{"16.1": 1, "16.2": 5, "16.3": 4, "16.4": 3, "16.5": 4},
    }
    items = {f"{section}.{i + 1}" for section, count in chapters.items() for i in range(count)}
    explained = dict(NOT_MET_ROW.findall((ROOT / "docs" / "security.md").read_text())).keys()
    assert items - MET.keys() - explained == set()
    assert (MET.keys() | explained) - items == set()
