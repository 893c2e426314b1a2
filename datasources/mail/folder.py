"""Mail for developers: written to a folder as files that mail programs open, and read back for a page."""

import asyncio
import os
import re
import tempfile
from collections.abc import Iterable
from datetime import datetime
from email import message_from_string
from email.message import EmailMessage
from email.parser import HeaderParser
from email.policy import default
from pathlib import Path
from typing import NamedTuple

from datasources.mail.sending import TryAgain, Undeliverable

_NAME = re.compile(r"[a-z0-9_]{1,80}")
_SUFFIX = ".eml"
_headers = HeaderParser(policy=default)


class FiledMail(NamedTuple):
    """A mail in the folder, as a list shows it."""

    id: str
    to: str
    subject: str
    at: datetime | None


class ReadMail(NamedTuple):
    """A mail in the folder with what it says."""

    mail: FiledMail
    text: str
    html: str


class MailFolder:
    """A folder with a file for each mail, named by the first part of its Message-ID, which grows with time.

    A file is there whole or not at all. Only the owner reads it: the links in it open accounts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    async def send(self, message: EmailMessage) -> None:
        """As ``MailSender.send`` says; a mail that is sent twice is there once."""
        name = str(message["Message-ID"]).strip("<>").partition("@")[0]
        if _NAME.fullmatch(name) is None:
            raise Undeliverable("its Message-ID is none of ours")
        try:
            await asyncio.to_thread(self._write, name, message.as_bytes())
        except OSError as error:
            raise TryAgain(f"the mail folder cannot be written to ({type(error).__name__})", all_mail=True) from None

    def _write(self, name: str, content: bytes) -> None:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, staged = tempfile.mkstemp(dir=self.path, prefix=".incoming-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(staged).replace(self._file(name))
        except BaseException:
            Path(staged).unlink(missing_ok=True)
            raise

    def _file(self, name: str) -> Path:
        return self.path / f"{name}{_SUFFIX}"

    def _text(self, name: str) -> str:
        return self._file(name).read_text(encoding="utf-8", errors="replace")

    async def newest(self, limit: int) -> list[FiledMail]:
        """The mails that were written last, the newest first."""
        return await asyncio.to_thread(self._newest, limit)

    def _newest(self, limit: int) -> list[FiledMail]:
        names = sorted((path.stem for path in self._files()), reverse=True)
        found = []
        for name in names[:limit]:
            try:
                message = _headers.parsestr(self._text(name))
            except OSError:  # somebody has tidied up since
                continue
            found.append(_filed(name, message))
        return found

    def _files(self) -> Iterable[Path]:
        return (path for path in self.path.glob(f"*{_SUFFIX}") if _NAME.fullmatch(path.stem) is not None)

    async def read(self, mail_id: str) -> ReadMail | None:
        """One mail, by the id that ``newest`` gives it; ``None`` where there is none."""
        if _NAME.fullmatch(mail_id) is None:
            return None
        try:
            text = await asyncio.to_thread(self._text, mail_id)
        except OSError:
            return None
        message = message_from_string(text, policy=default)
        return ReadMail(_filed(mail_id, message), _part(message, "plain"), _part(message, "html"))


def _filed(name: str, message: EmailMessage) -> FiledMail:
    date = message["Date"]
    return FiledMail(
        name, str(message["To"] or ""), str(message["Subject"] or ""), None if date is None else date.datetime
    )


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return "" if part is None else str(part.get_content())
