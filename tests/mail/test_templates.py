"""What mails say: the same as text and as HTML, and never what a stranger's name would like them to say."""

import re
from datetime import UTC, datetime, timedelta
from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasources.mail import notices
from datasources.mail.addresses import NotAnAddress, can_be_reached, mailbox, sender_mailbox
from datasources.mail.notices import in_words
from datasources.mail.sending import email_message
from datasources.mail.template import LONGEST_VALUE, Letter, Letterhead, Template, tame, template
from tests.mail.post import SENDER

HEAD = Letterhead("Lakeside Cloud", "https://api.example.com")
LINK = "https://api.example.com/account?token=a-b_c&x=1#y"
TEMPLATES = Path(notices.__file__).parent / "templates"
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=https://evil.example/x onerror=alert(1)>',
    "&lt;b&gt;",
    "Ada\r\nBcc: everybody@example.com",
    "Ada\n\n[Click here](https://evil.example/)",
    "${link} $link $$ $",
    "https://evil.example/login",
    "Win at evil.example",
    "http://2130706433/x",
    "www\u200d.\u200devil.example",
    "evil\u3002example",
    "\u202egnorw",
    "a\0b\x1b[31m\ud800",
    "x" * 100_000,
]

PLACES = {
    "welcome": {"name", "organization", "link"},
    "confirm_registration": {"name", "link", "lifetime"},
    "reset_password": {"name", "link", "lifetime"},
    "password_changed": {"name", "link"},
    "invitation": {"inviter", "organization", "role", "link", "lifetime"},
    "link_identity": {"name", "provider", "link", "lifetime"},
    "account_exists": {"name", "link"},
    "account_deleted": {"name"},
}
"""The templates, with the values that those who post them give."""


class Seen(HTMLParser):
    """What a browser makes of a mail: its elements, with attributes, and its words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.words += data


def written(kind: str, name: str) -> Letter:
    """A mail of this kind in which everything that somebody chose is called so."""
    values = {place: LINK if place == "link" else name for place in PLACES[kind]}
    return template(kind).letter(HEAD, "a@b.example", values)


def as_received(letter: Letter) -> EmailMessage:
    """The mail after its way over the wire."""
    message = email_message(letter, sender=SENDER, message_id="<mai_1@b.example>", written_at=datetime.now(UTC))
    return message_from_string(message.as_bytes().decode(), _class=EmailMessage, policy=default)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_every_template_is_for_something() -> None:
    assert {path.stem: template(path.stem).places for path in TEMPLATES.glob("*.txt")} == PLACES


@pytest.mark.parametrize("kind", PLACES)
def test_text_and_html_say_the_same_and_have_the_links(kind: str) -> None:
    letter = written(kind, "Ada & Söhne")
    assert template(kind).name == kind
    html = Seen(letter.html)
    paragraphs = letter.text.partition("\n-- \n")[0].split("\n\n")
    for paragraph in paragraphs:
        for line in squeezed(paragraph).split(": http"):
            assert line.removeprefix("s://").split("api.example.com")[-1].strip(" ") in squeezed(html.words)
    links = [dict(attrs)["href"] for tag, attrs in html.elements if tag == "a"]
    if "link" in PLACES[kind]:
        assert links == [LINK, LINK, HEAD.url]
        assert f"\n{LINK}\n" in letter.text
    else:
        assert links == [HEAD.url]
    assert "Ada & Söhne" in squeezed(letter.text)
    assert HEAD.service in letter.subject
    assert "$" not in letter.subject + letter.text + html.words


@pytest.mark.parametrize("kind", PLACES)
def test_a_mail_loads_nothing_and_runs_nothing(kind: str) -> None:
    html = written(kind, "Ada").html
    elements = Seen(html).elements
    assert {tag for tag, _ in elements} <= {
        "html", "head", "meta", "title", "style", "body", "div", "p", "h1", "a", "br",
    }  # fmt: skip
    assert not re.search(r"url\(|@import|src=", html)
    assert "prefers-color-scheme: dark" in html


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("kind", PLACES)
def test_a_hostile_name_is_nothing_but_a_name(kind: str, hostile: str) -> None:
    _check_harmless(kind, hostile)


@given(name=st.text(max_size=300), kind=st.sampled_from(sorted(PLACES)))
def test_any_name_is_nothing_but_a_name(name: str, kind: str) -> None:
    _check_harmless(kind, name)


def _check_harmless(kind: str, name: str) -> None:
    """Beside the same mail with a plain name: the same structure, links and headers, on the wire too."""
    plain, odd = written(kind, "Ada"), written(kind, name)
    assert Seen(odd.html).elements == Seen(plain.html).elements
    assert odd.text.count("\n\n") == plain.text.count("\n\n")
    assert re.findall(r"https?://\S+", odd.text) == re.findall(r"https?://\S+", plain.text)
    assert not re.search(r"evil[.\u3002\u200d]\S", odd.text + odd.html + odd.subject)
    assert not re.search(
        r"[\x00-\x1f\x7f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", odd.subject + odd.text.replace("\n", "")
    )
    assert len(odd.text) < len(plain.text) + 6 * LONGEST_VALUE
    received, beside = as_received(odd), as_received(plain)
    assert received.keys() == beside.keys()
    assert received["Subject"].strip() == odd.subject
    assert received["To"] == "a@b.example"
    parts = [part.get_content().replace("\r\n", "\n") for part in received.iter_parts()]
    assert parts == [odd.text, odd.html]


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("J.R.R. Tolkien", "J. R. R. Tolkien"),
        ("Lakeside Inc.", "Lakeside Inc."),
        ("12.50 EUR", "12.50 EUR"),
        ("  Jörg \t Müller\n", "Jörg Müller"),
        ("李小龍", "李小龍"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),  # a joiner that Persian is written with
        ("evil.example", "evil. example"),
        ("https://1.2.3.4/x", "https: //1.2.3.4/x"),
        ("ada@evil.example", "ada@evil.example"),
        ("ada@evil.example/x", "ada@evil. example/x"),
        ("a\u202eb\u2066c", "abc"),
        ("x" * 500, "x" * (LONGEST_VALUE - 1) + "…"),
    ],
)
def test_names_stay_as_they_are_where_they_do_no_harm(name: str, becomes: str) -> None:
    assert tame(name) == becomes


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "//evil.example", 'https://a.example/"x', "https://a.example/ x", "", "https://a\n"]
)
def test_a_link_is_an_address_of_the_web(link: str) -> None:
    with pytest.raises(ValueError, match="address of the web") as refused:
        template("password_changed").letter(HEAD, "a@b.example", {"name": "Ada", "link": link})
    assert not link or link not in str(refused.value)


def test_a_platform_brings_templates_of_its_own() -> None:
    receipt = Template(
        "receipt", "Receipt ${number}\n\nYou paid ${total} & thanks, ${name}: $$5 less.\n\n[See it](${link})\n"
    )
    assert receipt.places == {"number", "total", "name", "link"}
    values = {"number": "R-1", "total": "12.50 EUR", "name": "<b>", "link": LINK}
    letter = receipt.letter(HEAD, "a@b.example", values)
    assert letter.subject == "Receipt R-1"
    assert letter.text.startswith("You paid 12.50 EUR & thanks, <b>: $5 less.\n\nSee it:\nhttps://")
    assert "<p>You paid 12.50 EUR &amp; thanks, &lt;b&gt;: $5 less.</p>" in letter.html


@pytest.mark.parametrize("source", ["", "Only a subject", "Subject\n\nIt costs $ 5", "Subject $\n\nText"])
def test_a_template_that_says_nothing_or_is_misspelt_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="the mail odd"):
        Template("odd", source)


def test_a_value_too_few_or_too_many_is_refused() -> None:
    for values in ({"name": "Ada"}, {"name": "Ada", "link": LINK, "linq": LINK}):
        with pytest.raises(ValueError, match=r"lin[kq]"):
            Template("odd", "Hello\n\n${name}\n\n[Go](${link})").letter(HEAD, "a@b.example", values)


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(days=7), "7 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(seconds=20), "1 minute"),
        (timedelta(seconds=100), "2 minutes"),
    ],
)
def test_times_are_told_in_words(duration: timedelta, words: str) -> None:
    assert in_words(duration) == words


@given(st.text(max_size=80) | st.from_regex(r"[^@]{1,10}@[^@]{1,20}", fullmatch=True) | st.emails())
def test_an_address_is_one_address_or_none(text: str) -> None:
    """What is taken arrives as the only receiver, with nothing else in the header; what is not is said to be none."""
    try:
        taken = mailbox(text)
    except NotAnAddress:
        assert not can_be_reached(text)
        return
    message = as_received(Letter(text, "Hello", "text", "<p>html</p>"))
    assert message.keys().count("To") == 1
    (receiver,) = message["To"].addresses
    assert receiver.domain == taken.domain
    assert receiver.domain.isascii()
    assert receiver.username == taken.username
    assert not message["To"].defects or not taken.username.isascii()
    assert {name.lower() for name in message} == {
        "from", "to", "subject", "date", "message-id", "auto-submitted", "mime-version", "content-type",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reached"),
    [
        ("ada@example.com", True),
        ("Ada.O'Neil+x@mail.example.com", True),
        ("jörg@bücher.example", True),
        ("ada@localhost", True),
        ("ada@nobody.invalid", False),
        ("ada@INVALID", False),
        ("ada", False),
        ("ada@", False),
        ("@example.com", False),
        (".ada@example.com", False),
        ("a..b@example.com", False),
        ("ada@-example.com", False),
        ("ada@example..com", False),
        ("Ada <ada@example.com>", False),
        ("ada@example.com, eve@example.com", False),
        ('"a b"@example.com', False),
        ("ada@[127.0.0.1]", False),
        (f"{'a' * 65}@example.com", False),
        (f"a@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.{'f' * 60}", False),
    ],
)
def test_which_addresses_mail_goes_to(text: str, *, reached: bool) -> None:
    assert can_be_reached(text) is reached


def test_the_sender_may_have_a_name() -> None:
    assert str(sender_mailbox("Lakeside, Inc. <no-reply@example.com>".replace(",", ""))) == (
        '"Lakeside Inc." <no-reply@example.com>'
    )
    assert str(sender_mailbox("no-reply@example.com")) == "no-reply@example.com"
    for wrong in ("nobody", "Name <>", "a@b.example\r\nBcc: c@d.example", ""):
        with pytest.raises(NotAnAddress):
            sender_mailbox(wrong)
