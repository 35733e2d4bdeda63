"""Challenges and tokens: only what this server sealed, only as long as it lasts, only for what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from roar.server import tokens

SECRET, OTHER = b"s" * 32, b"o" * 32
NOW = 1_900_000_000 * 10**9
SECOND = 10**9
HERE = "https://glaas.example"


def challenge(now_ns: int = NOW) -> str:
    return tokens.challenge(SECRET, audience=HERE, project="team/a", operation="write", now_ns=now_ns)


def token(*, seconds: int = 600, project: str | None = "team/a") -> str:
    return tokens.issue(
        SECRET, user="ada", fingerprint="SHA256:x", project=project, scope="write", seconds=seconds, now_ns=NOW
    )


def code(now_ns: int = NOW) -> str:
    return tokens.code(SECRET, audience=HERE, user="ada", fingerprint="SHA256:x", page="/p/team/a", now_ns=now_ns)


def visit(now_ns: int = NOW) -> str:
    return tokens.visit(SECRET, user="ada", fingerprint="SHA256:x", now_ns=now_ns)


def test_a_token_says_what_it_was_issued_for() -> None:
    made = tokens.Token("ada", "SHA256:x", "team/a", "write", NOW + 600 * SECOND)
    assert tokens.check(SECRET, token(), NOW) == made
    assert tokens.check(SECRET, token(project=None), NOW) == made._replace(project=None)


def test_a_token_dies_at_its_time_and_lives_no_longer_than_the_most() -> None:
    assert tokens.check(SECRET, token(), NOW + 600 * SECOND - 1) is not None
    assert tokens.check(SECRET, token(), NOW + 600 * SECOND) is None
    longest = token(seconds=10**9)
    assert tokens.check(SECRET, longest, NOW + tokens.TOKEN_SECONDS * SECOND) is None


def test_a_token_from_the_far_future_is_none() -> None:
    assert tokens.check(SECRET, token(seconds=900), NOW - (tokens.SKEW_SECONDS - 1) * SECOND) is not None
    assert tokens.check(SECRET, token(seconds=900), NOW - (tokens.SKEW_SECONDS + 1) * SECOND) is None


def test_another_secret_seals_nothing_here() -> None:
    assert tokens.check(OTHER, token(), NOW) is None
    assert tokens.opened(OTHER, challenge(), audience=HERE, now_ns=NOW) is None
    assert tokens.decoded(OTHER, code(), audience=HERE, now_ns=NOW) is None
    assert tokens.visiting(OTHER, visit(), NOW) is None


def test_no_changed_letter_is_overlooked() -> None:
    for good in (token(), code(), visit()):
        for at in range(len(good)):
            changed = good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]
            assert tokens.check(SECRET, changed, NOW) is None, at
            assert tokens.decoded(SECRET, changed, audience=HERE, now_ns=NOW) is None, at
            assert tokens.visiting(SECRET, changed, NOW) is None, at


@pytest.mark.parametrize(
    "text", ["", ".", "..", "roar-t1..", "roar-t1.e30.", "x" * 5000, "roar-t1.\u00e9.x", "roar-t1.a.b.c"]
)
def test_what_is_no_token_is_none(text: str) -> None:
    assert tokens.check(SECRET, text, NOW) is None
    assert tokens.opened(SECRET, text, audience=HERE, now_ns=NOW) is None


def test_none_is_taken_for_another() -> None:
    prefixes = {"roar-c1": challenge(), "roar-t1": token(), "roar-e1": code(), "roar-v1": visit()}
    for prefix, good in prefixes.items():
        assert good.startswith(prefix)
        for other in prefixes.keys() - {prefix}:
            for text in (good, good.replace(prefix, other)):
                taken = {
                    "roar-c1": tokens.opened(SECRET, text, audience=HERE, now_ns=NOW),
                    "roar-t1": tokens.check(SECRET, text, NOW),
                    "roar-e1": tokens.decoded(SECRET, text, audience=HERE, now_ns=NOW),
                    "roar-v1": tokens.visiting(SECRET, text, NOW),
                }
                assert taken[other] is None, (prefix, other)


def test_a_challenge_is_for_one_audience_and_two_minutes() -> None:
    made = tokens.opened(SECRET, challenge(), audience=HERE, now_ns=NOW)
    assert made is not None
    assert (made.audience, made.project, made.operation) == (HERE, "team/a", "write")
    assert tokens.opened(SECRET, challenge(), audience="https://evil.example", now_ns=NOW) is None
    assert tokens.opened(SECRET, challenge(), audience=HERE, now_ns=NOW + tokens.CHALLENGE_SECONDS * SECOND) is None


def test_a_code_is_for_one_audience_and_one_minute_and_a_visit_for_half_a_day() -> None:
    made = tokens.decoded(SECRET, code(), audience=HERE, now_ns=NOW)
    assert made is not None
    assert (made.user, made.fingerprint, made.page) == ("ada", "SHA256:x", "/p/team/a")
    assert tokens.decoded(SECRET, code(), audience="https://evil.example", now_ns=NOW) is None
    assert tokens.decoded(SECRET, code(), audience=HERE, now_ns=NOW + 60 * SECOND) is None
    begun = tokens.visiting(SECRET, visit(), NOW)
    assert begun is not None
    assert (begun.user, begun.fingerprint) == ("ada", "SHA256:x")
    assert tokens.visiting(SECRET, visit(), NOW + 12 * 3600 * SECOND) is None


def test_a_challenge_is_good_once_and_remembered_for_a_day_longer(tmp_path: Path) -> None:
    first, second = (tokens.opened(SECRET, challenge(), audience=HERE, now_ns=NOW) for _ in range(2))
    assert first and second and first.nonce != second.nonce
    folder = tmp_path / "nonces"
    assert tokens.spend(str(folder), first, NOW)
    assert not tokens.spend(str(folder), first, NOW)
    assert tokens.spend(str(folder), second, NOW)
    next_day = NOW + 90_000 * SECOND
    later = tokens.opened(SECRET, challenge(next_day), audience=HERE, now_ns=next_day)
    assert later and tokens.spend(str(folder), later, next_day)
    assert [path.name for path in folder.iterdir()] == [f"{later.expires_ns}-{later.nonce}"]
