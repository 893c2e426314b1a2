"""What the documentation says is so: its links, its tables, its queries and their answers."""

import ast
import json
import re
import sys
from types import ModuleType
from typing import Any

import pytest
from annotated_types import Ge, Le
from graphql import GraphQLSchema, NonNullTypeNode, OperationDefinitionNode, OperationType, parse, validate
from pydantic.fields import FieldInfo

from gateway.platforms import BUILT_IN
from gateway.settings import Settings
from schema.composition import compose
from schema.errors import ErrorCode
from schema.platform import Platform
from tests.docs import tables
from tests.docs.demo import Demo
from tests.docs.pages import PAGES, Block, anchors, blocks_in, links, name_of, table_after
from tests.repository.checkout import ROOT

OPERATOR, ERRORS = ROOT / "docs" / "operator.md", ROOT / "docs" / "errors.md"
GRAPHQL = blocks_in("graphql")
IN_SOURCE = re.compile(r"`((?:query|mutation|subscription) [^`]+)`")


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return compose(BUILT_IN).graphql


def messages(schema: GraphQLSchema, text: str) -> list[str]:
    return [error.message for error in validate(schema, parse(text))]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Any) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        if not re.match(r"https?:", link):
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(link)
    assert broken == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            targets = [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
            waiting.extend(target for target in targets if target in PAGES)
    assert [name_of(page) for page in PAGES if page not in reached] == []


def test_the_tables_of_scopes_are_current() -> None:
    text = tables.PAGE.read_text(encoding="utf-8")
    assert tables.current(text) == text, "write them anew: .venv/bin/python -m tests.docs.tables"


def in_words(field: FieldInfo) -> tuple[str, str]:
    """A setting's default and what is allowed, as the table says it."""
    default = field.default
    words = (
        ("none" if not default else f"`{default}`") if not isinstance(default, bool) else f"`{str(default).lower()}`"
    )
    least = next((bound.ge for bound in field.metadata if isinstance(bound, Ge)), None)
    most = next((bound.le for bound in field.metadata if isinstance(bound, Le)), None)
    return words, "" if least is None else f"{least} or more" if most is None else f"{least} to {most}"


def test_the_table_of_settings_is_current() -> None:
    said = [tuple(cells[:3]) for cells in table_after(OPERATOR, "settings")]
    assert said == [(f"`{name.upper()}`", *in_words(field)) for name, field in Settings.model_fields.items()]


def test_the_table_of_errors_has_every_code() -> None:
    said = re.findall(r"^\| `(\w+)` \|", ERRORS.read_text(encoding="utf-8"), re.MULTILINE)
    assert said == [code.value for code in ErrorCode]


@pytest.mark.parametrize("block", GRAPHQL, ids=lambda block: block.name)
def test_queries_fit_the_schema(schema: GraphQLSchema, block: Block) -> None:
    assert messages(schema, block.text) == []


@pytest.mark.parametrize("block", blocks_in("ts"), ids=lambda block: block.name)
def test_queries_in_typescript_fit_the_schema(schema: GraphQLSchema, block: Block) -> None:
    assert [messages(schema, text) for text in IN_SOURCE.findall(block.text) if messages(schema, text)] == []


@pytest.mark.parametrize("path", sorted((ROOT / "web/src/examples").glob("*.graphql")), ids=lambda path: path.name)
def test_examples_of_the_page_fit_the_schema(schema: GraphQLSchema, path: Any) -> None:
    assert messages(schema, path.read_text(encoding="utf-8")) == []


def runs_alone(block: Block) -> bool:
    """Whether it is one query without variables that have to be given."""
    operations = [one for one in parse(block.text).definitions if isinstance(one, OperationDefinitionNode)]
    return len(operations) == 1 and all(
        operation.operation is OperationType.QUERY
        and not any(isinstance(each.type, NonNullTypeNode) for each in operation.variable_definitions or ())
        for operation in operations
    )


@pytest.mark.parametrize("block", [block for block in GRAPHQL if runs_alone(block)], ids=lambda block: block.name)
def test_queries_are_answered(demo: Demo, block: Block) -> None:
    answer = demo.ask(block.text)
    if block.answer is None:
        assert "errors" not in answer
    else:
        assert answer == json.loads(block.answer)


@pytest.mark.parametrize("block", blocks_in("python"), ids=lambda block: block.name)
def test_python_is_python(block: Block) -> None:
    compile(block.text, block.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_smallest_platform_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = [block for block in blocks_in("python") if "PLATFORM = " in block.text]
    module = ModuleType("tributary_loyalty")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(block.text, block.name, "exec"), vars(module))  # noqa: S102 -- our own page
    platform = module.PLATFORM
    assert isinstance(platform, Platform)
    assert "hasLoyaltyCard: Boolean!" in compose([*BUILT_IN, platform]).sdl


def test_json_is_json() -> None:
    for block in blocks_in("json"):
        json.loads(block.text)
