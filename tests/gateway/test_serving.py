"""The gateway answers, as a person sees it first."""

from tests.serving import ADA, GRACE, Running


def test_a_person_signs_in_and_sees_their_own_organization(gateway: Running) -> None:
    """Ada and Grace each see one organization, and not the same."""
    query = "{ viewer { email } organization { name } }"
    assert gateway.data(query, as_=ADA)["viewer"]["email"] == ADA
    assert gateway.data(query, as_=GRACE)["organization"] != gateway.data(query, as_=ADA)["organization"]


def test_the_operation_that_signs_in_goes_on_as_that_person(gateway: Running) -> None:
    """``login`` answers with the person, although the request came without a token."""
    login = "mutation ($input: LoginInput!) { login(input: $input) { session { user { email } } userErrors { code } } }"
    good = gateway.data(login, {"input": {"email": ADA, "password": "tributary demo"}})["login"]
    assert good == {"session": {"user": {"email": ADA}}, "userErrors": []}
    bad = gateway.data(login, {"input": {"email": ADA, "password": "wrong"}})["login"]
    assert bad == {"session": None, "userErrors": [{"code": "INVALID"}]}
