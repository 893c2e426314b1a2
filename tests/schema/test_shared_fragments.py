"""A fragment in two places, of which only one selects the rows of its connection."""

from tests.serving import ADA, Running


def test_a_connection_in_a_shared_fragment_has_its_rows_where_they_are_selected(gateway: Running) -> None:
    """The pages of the two places are not mixed up, although they share a field of the document."""
    query = """
      query { a: businesses(first: 2) { nodes { ...Counted } }
              b: businesses(first: 2) { nodes { ...Counted campaigns { nodes { id } } } } }
      fragment Counted on Business { campaigns { totalCount } }
    """
    data = gateway.data(query, as_=ADA)
    assert [set(business["campaigns"]) for business in data["a"]["nodes"]] == [{"totalCount"}] * 2
    for business in data["b"]["nodes"]:
        found = business["campaigns"]
        assert len(found["nodes"]) == min(found["totalCount"], 25) > 0
