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


def test_no_changed_letter_is_overlooked() -> None:
    good = token()
    for at in range(len(good)):
        changed = good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]
        assert tokens.check(SECRET, changed, NOW) is None, at


@pytest.mark.parametrize(
    "text", ["", ".", "..", "roar-t1..", "roar-t1.e30.", "x" * 5000, "roar-t1.\u00e9.x", "roar-t1.a.b.c"]
)
def test_what_is_no_token_is_none(text: str) -> None:
    assert tokens.check(SECRET, text, NOW) is None
    assert tokens.opened(SECRET, text, audience=HERE, now_ns=NOW) is None


def test_a_challenge_is_no_token_and_a_token_no_challenge() -> None:
    assert tokens.check(SECRET, challenge(), NOW) is None
    assert tokens.check(SECRET, challenge().replace("roar-c1", "roar-t1"), NOW) is None
    assert tokens.opened(SECRET, token(), audience=HERE, now_ns=NOW) is None


def test_a_challenge_is_for_one_audience_and_two_minutes() -> None:
    made = tokens.opened(SECRET, challenge(), audience=HERE, now_ns=NOW)
    assert made is not None
    assert (made.audience, made.project, made.operation) == (HERE, "team/a", "write")
    assert tokens.opened(SECRET, challenge(), audience="https://evil.example", now_ns=NOW) is None
    assert tokens.opened(SECRET, challenge(), audience=HERE, now_ns=NOW + tokens.CHALLENGE_SECONDS * SECOND) is None


def test_a_challenge_is_good_once_and_remembered_only_until_it_expires(tmp_path: Path) -> None:
    first, second = (tokens.opened(SECRET, challenge(), audience=HERE, now_ns=NOW) for _ in range(2))
    assert first and second and first.nonce != second.nonce
    folder = tmp_path / "nonces"
    assert tokens.spend(str(folder), first, NOW)
    assert not tokens.spend(str(folder), first, NOW)
    assert tokens.spend(str(folder), second, NOW)
    later = tokens.opened(SECRET, challenge(NOW + 400 * SECOND), audience=HERE, now_ns=NOW + 400 * SECOND)
    assert later and tokens.spend(str(folder), later, NOW + 400 * SECOND)
    assert [path.name for path in folder.iterdir()] == [f"{later.expires_ns}-{later.nonce}"]
