// What a Relay application writes in its components; relay-compiler reads it against the schema.
const { graphql } = require("relay-runtime");

graphql`
  fragment operations_prompt on Prompt @refetchable(queryName: "operationsPromptRefetch") {
    id
    title
  }
`;

graphql`
  query operationsNodeQuery($id: ID!) {
    node(id: $id) {
      __typename
      id
      ...operations_prompt @alias(as: "prompt")
    }
  }
`;

graphql`
  fragment operations_prompts on Query
  @argumentDefinitions(count: { type: "Int", defaultValue: 4 }, cursor: { type: "String" })
  @refetchable(queryName: "operationsPromptsPagination") {
    prompts(first: $count, after: $cursor) @connection(key: "operations_prompts") {
      edges {
        node {
          id
          ...operations_prompt
        }
      }
    }
  }
`;

graphql`
  query operationsPromptsQuery {
    ...operations_prompts
  }
`;

graphql`
  fragment operations_orders on Business
  @argumentDefinitions(count: { type: "Int", defaultValue: 4 }, cursor: { type: "String" })
  @refetchable(queryName: "operationsOrdersPagination") {
    orders(last: $count, before: $cursor) @connection(key: "operations_orders") {
      edges {
        node {
          id
        }
      }
    }
  }
`;

graphql`
  mutation operationsLoginMutation($input: LoginInput!) {
    login(input: $input) {
      session {
        user {
          id
          email
        }
      }
      userErrors {
        message
      }
    }
  }
`;

graphql`
  subscription operationsHeartbeatSubscription($count: Int!) {
    heartbeat(count: $count, intervalMs: 10)
  }
`;

graphql`
  query operationsBusinessesQuery {
    businesses(first: 1, orderBy: { field: NAME }) {
      nodes {
        id
        ...operations_orders
      }
    }
  }
`;
