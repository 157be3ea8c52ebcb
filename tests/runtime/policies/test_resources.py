"""Paths and URLs have one spelling, and what could be two things is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanhouse_runtime.policies.resources import Ambiguous, check_pattern, matches, normalised


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("/a/./b//c/../d", "/a/b/d"),
        ("./data/x", "data/x"),
        ("HTTPS://Acme.Example.:443/%61?x#y", "https://acme.example/a"),
        ("https://acme.example", "https://acme.example/"),
        ("https://acme.example:8443/a/../b", "https://acme.example:8443/b"),
        ("https://evil.example#.acme.example/x", "https://evil.example/"),
        ("file:///etc/passwd", "/etc/passwd"),
        ("FILE://localhost/etc/../etc/passwd", "/etc/passwd"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://[0:0::1]:80/x", "http://[::1]/x"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("/cafe\u0301", "/caf\u00e9"),
    ],
)
def test_a_resource_has_one_spelling(written: str, means: str) -> None:
    assert normalised(written) == means
    assert normalised(means) == means


@pytest.mark.parametrize(
    "written",
    [
        "",
        " /data",
        "../x",
        "/a/../../x",
        "/a%2e%2e/x",
        "/a\x00.txt",
        "/a\u202etxt",
        "~/x",
        "//host/x",
        "a\\b",
        "\uff0fetc",
        "/a/\u2025/x",
        "https:evil.example",
        "javascript:alert(1)",
        "https://acme.example@evil.example/",
        "https://acme.example/%2e%2e/%2e%2e/x",
        "https://acme.example/a%2fb",
        "https://acme.example/a%5cb",
        "https://acme.example/%252e",
        "https://acme.example/%ff",
        "https://acme.example:99999/",
        "https:///x",
        "https://%61cme.example/",
        "http://0x/",
        "file://elsewhere/etc/passwd",
    ],
)
def test_what_readers_disagree_about_is_no_resource(written: str) -> None:
    with pytest.raises(Ambiguous):
        normalised(written)


@pytest.mark.parametrize(
    ("resource", "pattern", "does"),
    [
        ("/data/a/b", "/data/**", True),
        ("/data", "/data/**", True),
        ("/database", "/data/**", False),
        ("/data/a", "/data/*", True),
        ("/data/a/b", "/data/*", False),
        ("/a/x/y/b", "/a/**/b", True),
        ("/a/b", "/a/**/b", True),
        ("/a/b/c", "/**/b", False),
        ("/a/b.txt", "**/*.txt", True),
        ("/a/b1", "/a/b[0-9]", True),
        ("https://api.acme.example/v1/x", "https://*.acme.example/**", True),
        ("https://acme.example.evil.example/", "https://*.acme.example/**", False),
        ("https://api.acme.example/", "HTTPS://API.Acme.Example/", True),
        ("https://api.acme.example:8443/", "https://api.acme.example/**", False),
        ("/ETC/passwd", "/etc/**", False),
    ],
)
def test_stars_stay_in_a_segment_and_double_stars_do_not(resource: str, pattern: str, does: bool) -> None:  # noqa: FBT001
    assert matches(resource, pattern) is does


def test_case_is_no_way_around_where_it_is_asked_to_be_ignored() -> None:
    assert matches("/ETC/passwd", "/etc/**", any_case=True)


@pytest.mark.parametrize("pattern", ["/data**", "/a/../b", "/./a", "a/**b/c"])
def test_a_pattern_that_would_not_mean_what_it_says_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"stands alone|never match"):
        check_pattern(pattern)


PIECES = st.sampled_from(
    ["..", ".", "", "a", "b", "%2e%2e", "%2f", "\\", "etc", "data", "https:", "\uff0e\uff0e", "x y"]
)


@given(st.lists(PIECES, min_size=1, max_size=8).map("/".join))
def test_nothing_that_is_let_into_a_folder_leaves_it(text: str) -> None:
    try:
        resource = normalised(text)
    except Ambiguous:
        return
    assert normalised(resource) == resource
    assert ".." not in resource.split("/")
    if matches(resource, "/data/**"):
        assert resource.split("/")[:2] == ["", "data"]


def test_a_hostile_resource_cannot_stall_a_pattern() -> None:
    assert not matches("/a" * 5_000, "/**/a/**/a/**/a/**/a/**/b")
