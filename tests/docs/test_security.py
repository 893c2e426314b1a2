"""What docs/security.md says is answered and shown: every heading of the four sheets, and by tests that exist."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest

from tests.docs.pages import anchors, table_after
from tests.repository.checkout import ROOT

PAGE = ROOT / "docs" / "security.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
UNTESTED = re.compile(r"no test: \S")

# The headings of OWASP's sheets, as of 2026-08, in their order. Left out is what advises nothing: introductions and
# further reading, and in the second sheet what stands below localStorage and sessionStorage in the same words.
SHEETS = {
    "The Authentication Cheat Sheet": """
        User IDs
        Usernames
        Authentication Solution and Sensitive Accounts
        Implement Proper Password Strength Controls
        Implement Secure Password Recovery Mechanism
        Store Passwords in a Secure Fashion
        Compare Password Hashes Using Safe Functions
        Change Password Feature
        Transmit Passwords Only Over TLS or Other Strong Transport
        Require Re-authentication for Sensitive Features
        Re-authentication After Risk Events
        When to Trigger Re-authentication
        Re-authentication Mechanisms
        Implementation Recommendations
        Consider Strong Transaction Authentication
        TLS Client Authentication
        Authentication and Error Messages
        Authentication Responses
        Login
        Password recovery
        Account creation
        Error Codes and URLs
        Protect Against Automated Attacks
        Multi-Factor Authentication
        Login Throttling
        Account Lockout
        CAPTCHA
        Security Questions and Memorable Words
        Logging and Monitoring
        Use of authentication protocols that require no password
        OAuth 2.0 and 2.1
        OpenID Connect (OIDC)
        OIDC implementation guidance
        SAML
        FIDO
        Hardware-backed Key Storage
        Password Managers
        Changing A User's Registered Email Address
        Recommended Process If the User HAS Multifactor Authentication Enabled
        Recommended Process If the User DOES NOT HAVE Multifactor Authentication Enabled
        Notes on the Above Processes
        Adaptive or Risk Based Authentication
    """,
    "The Session Management Cheat Sheet": """
        Session ID Properties
        Session ID Name Fingerprinting
        Session ID Entropy
        Session ID Length
        Session ID Content (or Value)
        Session Management Implementation
        Built-in Session Management Implementations
        Used vs. Accepted Session ID Exchange Mechanisms
        Transport Layer Security
        Cookies
        Secure Attribute
        HttpOnly Attribute
        SameSite Attribute
        Cookie Name Prefixes
        Domain and Path Attributes
        Expire and Max-Age Attributes
        HTML5 Web Storage API
        The localStorage API
        The sessionStorage API
        Web Workers
        Session ID Life Cycle
        Session ID Generation and Verification: Permissive and Strict Session Management
        Manage Session ID as Any Other User Input
        Renew the Session ID After Any Privilege Level Change
        Reauthentication After Risk Events
        Considerations When Using Multiple Cookies
        Session Expiration
        Automatic Session Expiration
        Idle Timeout
        Absolute Timeout
        Renewal Timeout
        Manual Session Expiration
        Logout Button
        Web Content Caching and Clear-Site-Data
        Additional Client-Side Defenses for Session Management
        Initial Login Timeout
        Force Session Logout On Web Browser Window Close Events
        Disable Web Browser Cross-Tab Sessions
        Automatic Client Logout
        Session Attacks Detection
        Session ID Guessing and Brute Force Detection
        Detecting Session ID Anomalies
        Binding the Session ID to Other User Properties
        Logging Sessions Life Cycle: Monitoring Creation, Usage, and Destruction of Session IDs
        Simultaneous Session Logons
        Session Management WAF Protections
    """,
    "The Forgot Password Cheat Sheet": """
        Forgot Password Service
        Forgot Password Request
        User Resets Password
        Methods
        General Security Practices
        URL Tokens
        PINs
        Offline Methods
        Security Questions
        Account Lockout
    """,
    "The GraphQL Cheat Sheet": """
        Common Attacks
        Input Validation
        General Practices
        Injection Prevention
        Process Validation
        DoS Prevention
        Query Limiting (Depth & Amount)
        Timeouts
        Query Cost Analysis
        Rate Limiting
        Server-side Batching and Caching
        System Resource Management
        Access Control
        General Data Access
        Query Access (Data Fetching)
        Mutation Access (Data Manipulation)
        Batching Attacks
        Mitigating Batching Attacks
        Secure Configurations
        Introspection + GraphiQL
        Don't Return Excessive Errors
    """,
}


@dataclass(frozen=True)
class Point:
    """A point of the page: an entry of a list, or one below it; ``heading`` is the sheet's."""

    sheet: str
    heading: str
    text: str

    @property
    def is_shown(self) -> bool:
        """Whether it names a test, or says why there is none."""
        return bool(TEST.search(self.text) or UNTESTED.search(self.text))


def points() -> Iterator[Point]:
    """The points of the four sheets, in their order; an entry with others below it counts as those."""
    text = PAGE.read_text(encoding="utf-8")
    for section in re.split(r"^## ", text, flags=re.MULTILINE):
        title, _, body = section.partition("\n")
        if title not in SHEETS:
            continue
        for entry in re.split(r"^- ", body, flags=re.MULTILINE)[1:]:
            named = re.match(r"\*\*(.+?)\*\*", entry)
            assert named, f"{title}: {entry[:60]} begins with no heading of the sheet"
            above, *below = re.split(r"^  - ", entry, flags=re.MULTILINE)
            for each in below or [above]:
                yield Point(title, named[1], each)


@cache
def defined_in(path: str) -> frozenset[str]:
    """The tests that a file defines, learned without running it."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


@pytest.mark.parametrize("sheet", SHEETS)
def test_each_heading_of_a_sheet_is_answered_in_its_order(sheet: str) -> None:
    wanted = [line.strip() for line in SHEETS[sheet].strip().splitlines()]
    found = dict.fromkeys(point.heading for point in points() if point.sheet == sheet)
    assert list(found) == wanted


def test_each_point_is_shown_by_a_test_or_says_why_not() -> None:
    assert [f"{point.sheet}, {point.heading}: {point.text}" for point in points() if not point.is_shown] == []


def test_each_test_that_is_named_exists() -> None:
    named = TEST.findall(PAGE.read_text(encoding="utf-8"))
    missing = [f"{path}::{name}" for path, name in named if not (ROOT / path).exists() or name not in defined_in(path)]
    assert named
    assert missing == []


def test_nothing_that_looks_like_a_test_is_overlooked() -> None:
    """A name with a slip of the pen in it would else be text."""
    text = PAGE.read_text(encoding="utf-8")
    assert len(TEST.findall(text)) == text.count("::") == text.count("`tests/")


@pytest.mark.parametrize("table", ["who can be what", "attacks on tokens", "what is kept"])
def test_each_table_has_its_rows_whole(table: str) -> None:
    rows = table_after(PAGE, table)
    assert len({len(row) for row in rows}) == 1
    assert all(cell for row in rows for cell in row)


def test_the_page_says_how_to_report_a_weakness_where_contributors_look() -> None:
    assert "report-a-weakness" in anchors(ROOT / "CONTRIBUTING.md") & anchors(PAGE)
