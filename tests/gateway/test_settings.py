"""Settings: from the environment and a file, all mistakes at once, and none of their values repeated."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from gateway.settings import Settings, SettingsError, load, load_all

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder to start in, and none of our variables in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def mistakes(monkeypatch: pytest.MonkeyPatch, **values: str) -> list[str]:
    """The names of the settings that are refused, one for each line."""
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load()
    told = str(refused.value)
    assert SECRET not in told
    return [line.partition(":")[0] for line in told.splitlines()]


def test_nothing_has_to_be_set() -> None:
    settings = load()
    assert (settings.host, settings.port, settings.demo) == ("127.0.0.1", 8000, False)
    assert settings.database_url == "sqlite:///var/tributary.db"
    assert settings.key_file == Path("var/signing-key.pem")
    assert settings.base_url == "http://127.0.0.1:8000"


def test_all_mistakes_are_told_at_once_without_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mistakes(
        monkeypatch,
        PORT=SECRET,
        DATABASE_URL=f"mysql://user:{SECRET}@db.example/name",
        DATABASE_POOL_SIZE="0",
        ACCESS_TOKEN_SECONDS="1",
        PAGE_LIMIT="-5",
        MAX_DEPTH="many",
        DEMO=SECRET,
    ) == ["PORT", "DATABASE_URL", "DATABASE_POOL_SIZE", "ACCESS_TOKEN_SECONDS", "PAGE_LIMIT", "MAX_DEPTH", "DEMO"]


@pytest.mark.parametrize(
    "url",
    [
        SECRET,
        f"postgresql://user:{SECRET}@host:port/name",
        f"mysql://user:{SECRET}@host/name",
        f"http://{SECRET}",
        "sqlite://",
        "sqlite:///:memory:",
        "://",
    ],
)
def test_an_address_of_no_database_is_refused_without_repeating_it(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert mistakes(monkeypatch, DATABASE_URL=url) == ["DATABASE_URL"]


@pytest.mark.parametrize("url", ["postgres://u@h/db", "postgresql+psycopg://u@h/db", "sqlite:///x.db", "sqlite:////x"])
def test_every_usual_way_to_write_an_address_is_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert load().database_url == url


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "192.168.1.5", "example.com", "127.0.0.1.example.com", "localhost."],  # noqa: S104 -- refused
)
def test_the_demo_stays_on_this_machine(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("HOST", host)
    assert load().host == host
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1 only"):
        load(demo=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_the_demo_listens_on_loopback(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("HOST", host)
    assert load(demo=True).database_url == "sqlite:///var/demo.db"


def test_the_demo_seeds_no_other_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://user:{SECRET}@127.0.0.1/production")
    with pytest.raises(SettingsError, match="SQLite file of its own only") as refused:
        load(demo=True)
    assert SECRET not in str(refused.value)


def test_a_file_in_the_folder_is_read_and_the_environment_counts_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(
        "# a comment\nPORT=9001\nDATA_DIR='some where'\nPLATFORMS=messaging, billing ,\n"
        "UNKNOWN_SETTING=1\nPAGE_LIMIT=\n",
        encoding="utf-8",
    )
    settings = load()
    assert settings.port == 9001
    assert settings.data_dir == Path("some where")
    assert settings.database_url == "sqlite:///some where/tributary.db"
    assert settings.platforms == ("messaging", "billing")
    assert settings.page_limit == 250
    monkeypatch.setenv("PORT", "9002")
    assert load().port == 9002
    assert load(port=9003).port == 9003


def test_origins_are_a_list_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", " https://a.example,https://b.example ")
    assert load().allowed_origins == {"https://a.example", "https://b.example"}


def test_the_public_address_stands_for_where_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://api.example.com/")
    assert load().base_url == "https://api.example.com"


class One(BaseSettings):
    """Settings of a platform."""

    one_key: SecretStr
    one_limit: int = 1


class Two(BaseSettings):
    """Settings of another."""

    two_key: SecretStr


def test_mistakes_in_the_settings_of_platforms_are_told_at_once_with_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ONE_LIMIT", SECRET)
    with pytest.raises(SettingsError) as refused:
        load_all({"one": One, "two": Two})
    lines = str(refused.value).splitlines()
    assert [line.rpartition(": ")[0] for line in lines] == ["one: ONE_KEY", "one: ONE_LIMIT", "two: TWO_KEY"]
    assert SECRET not in str(refused.value)
    monkeypatch.setenv("ONE_LIMIT", "2")
    monkeypatch.setenv("ONE_KEY", SECRET)
    monkeypatch.setenv("TWO_KEY", SECRET)
    found = load_all({"one": One, "two": Two})
    assert SECRET not in repr(found)
