"""Templates of mails: one text, from which the plain and the HTML form are both made, so that they say the same.

The first line is the subject. Paragraphs follow, apart by empty lines. ``${name}`` stands for a value, and a paragraph
``[label](${link})`` for a link of its own: a button in HTML, the address on a line in plain text. There is nothing
else: no conditions, no markup. What is a link is decided before any value is put in.

Values come from strangers: people choose their names, and the names of their organizations, and then have mail sent to
others. In HTML they are escaped. Nowhere do they break a line, hide characters or turn the direction of writing, and
no word of theirs looks like the name of a host, which mail programs would make a link of. Who is called by nothing but
a mail address is called by that.
"""

import re
import textwrap
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from importlib.resources import files
from string import Template as Placeholders
from typing import NamedTuple

from datasources.mail.addresses import can_be_reached

LONGEST_VALUE = 120
"""Characters of a value; what is longer is cut."""

SERVICE = "service"
"""The value that every template has: how the gateway is called where its mail comes from."""

_TEXT_WIDTH = 76
_LINK = re.compile(r"\[([^\]\[]+)\]\((\$\{[a-z_]+\})\)")
_WEB = re.compile(r"https?://[!-~]+")
_UNSAFE_IN_LINK = frozenset("\"'<>\\`{}|^")
# A dot right before a letter, as in the name of a host but not in 1.50, and the beginning of an address of the web.
_HOST_DOT = re.compile(r"([.\u3002\uff0e\uff61]|:(?=//))(?=[^\W\d]|[\u200c\u200d/])")
_LAYOUT = Placeholders(files(__package__).joinpath("templates", "layout.html").read_text(encoding="utf-8"))
_BUTTON = Placeholders(files(__package__).joinpath("templates", "button.html").read_text(encoding="utf-8"))


class Letter(NamedTuple):
    """A mail as its receiver sees it: to a plain address, with a subject of one line, as text and as HTML."""

    to: str
    subject: str
    text: str
    html: str


class Letterhead(NamedTuple):
    """Who the mail is from: how the gateway is called, and the address where it is."""

    service: str
    url: str


@dataclass(frozen=True)
class Template:
    """What a mail says, with places for values; see the module for how ``source`` is written.

    ``name`` is for operators, who see it in the outbox. A platform brings templates of its own.
    """

    name: str
    source: str

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for a text with no subject or content, or with a ``$`` that stands for nothing."""
        if not self.subject or not self.paragraphs:
            raise ValueError(f"the mail {self.name} needs a subject on its first line, and paragraphs")
        if not all(Placeholders(each).is_valid() for each in (self.subject, *self.paragraphs)):
            raise ValueError(f"the mail {self.name} has a $ that is no ${{place}}; write $$ for the character")

    @cached_property
    def subject(self) -> str:
        """The subject, with places for values."""
        return self.source.strip().partition("\n")[0].strip()

    @cached_property
    def paragraphs(self) -> tuple[str, ...]:
        """The paragraphs, each on one line, with places for values."""
        body = self.source.strip().partition("\n")[2]
        return tuple(" ".join(each.split()) for each in re.split(r"\n\s*\n", body) if each.strip())

    @cached_property
    def links(self) -> frozenset[str]:
        """The names of the values that are addresses of the web."""
        return frozenset(found[2][2:-1] for each in self.paragraphs if (found := _LINK.fullmatch(each)))

    @cached_property
    def places(self) -> frozenset[str]:
        """The names of all values that it wants."""
        texts = (self.subject, *self.paragraphs)
        return frozenset(name for each in texts for name in Placeholders(each).get_identifiers()) - {SERVICE}

    def letter(self, head: Letterhead, to: str, values: Mapping[str, str]) -> Letter:
        """The mail to an address; raises ``ValueError`` where the values are not those that the template wants."""
        if set(values) != self.places:
            wrong = ", ".join(sorted(self.places.symmetric_difference(values)))
            raise ValueError(f"the mail {self.name} lacks these values, or has no place for them: {wrong}")
        plain = {name: _address(values[name]) if name in self.links else tame(values[name]) for name in values}
        plain[SERVICE] = tame(head.service)
        subject = " ".join(Placeholders(self.subject).substitute(plain).split())
        return Letter(to, subject, self._text(plain, head), self._html(subject, plain, head))

    def _text(self, values: Mapping[str, str], head: Letterhead) -> str:
        written = [_text_paragraph(each, values) for each in self.paragraphs]
        return "\n\n".join([*written, f"-- \n{values[SERVICE]}\n{head.url}"]) + "\n"

    def _html(self, subject: str, values: Mapping[str, str], head: Letterhead) -> str:
        escaped = {name: escape(value) for name, value in values.items()}
        return _LAYOUT.substitute(
            subject=escape(subject),
            content="\n".join(_html_paragraph(each, escaped) for each in self.paragraphs),
            service=escaped[SERVICE],
            url=escape(head.url),
        )


def _text_paragraph(paragraph: str, values: Mapping[str, str]) -> str:
    link = _LINK.fullmatch(paragraph)
    if link is not None:
        return f"{Placeholders(link[1]).substitute(values)}:\n{Placeholders(link[2]).substitute(values)}"
    text = Placeholders(paragraph).substitute(values)
    return textwrap.fill(text, _TEXT_WIDTH, break_long_words=False, break_on_hyphens=False)


def _html_paragraph(paragraph: str, escaped: Mapping[str, str]) -> str:
    link = _LINK.fullmatch(paragraph)
    if link is None:
        return f"<p>{Placeholders(escape(paragraph)).substitute(escaped)}</p>"
    label = Placeholders(escape(link[1])).substitute(escaped)
    return _BUTTON.substitute(label=label, link=Placeholders(link[2]).substitute(escaped)).rstrip()


def tame(value: str) -> str:
    """A stranger's text as part of a sentence: one line, not long, nothing invisible, nothing like a host's name."""
    visible = "".join(" " if _is_break(each) else each for each in value if _is_break(each) or _is_shown(each))
    squeezed = " ".join(visible.split())
    spaced = squeezed if can_be_reached(squeezed) else _HOST_DOT.sub(r"\1 ", squeezed)
    return spaced if len(spaced) <= LONGEST_VALUE else f"{spaced[: LONGEST_VALUE - 1].rstrip()}…"


def _is_break(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) in ("Zl", "Zp")


def _is_shown(character: str) -> bool:
    # Zero-width joiners belong to words of some languages and to emoji, and hide nothing.
    return not unicodedata.category(character).startswith("C") or character in "\u200c\u200d"


def _address(value: str) -> str:
    if _WEB.fullmatch(value) is None or _UNSAFE_IN_LINK.intersection(value):
        raise ValueError("a link in a mail is an address of the web, percent-encoded")
    return value


def template(name: str) -> Template:
    """The template of this name that comes with the gateway."""
    return Template(name, files(__package__).joinpath("templates", f"{name}.txt").read_text(encoding="utf-8"))
