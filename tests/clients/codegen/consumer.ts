// What an application writes against the generated types; `tsc --strict` says whether they tell the truth.
import type { ResultOf, VariablesOf } from "@graphql-typed-document-node/core";
import { graphql, useFragment } from "./generated";

export const Prompts = graphql(`
  query Prompts($first: Int!, $filter: PromptFilter) {
    prompts(first: $first, filter: $filter) {
      nodes {
        id
        ...PromptCard
      }
      totalCount
    }
  }
`);

export const PromptCard = graphql(`
  fragment PromptCard on Prompt {
    title
    rating
    price {
      amount
      currency
    }
  }
`);

export const Orders = graphql(`
  query Orders {
    orders(first: 5) {
      nodes {
        __typename
        placedAt
        ... on PromptPurchase {
          sellerEarnings {
            amount
          }
        }
      }
    }
  }
`);

export const OrderChanged = graphql(`
  subscription OrderChanged($after: String) {
    orderChanged(after: $after) {
      cursor
      to
    }
  }
`);

export const variables: VariablesOf<typeof Prompts> = { first: 3, filter: { tags: ["email"], minPrice: "1.50" } };
// @ts-expect-error -- `first` is needed
export const lacking: VariablesOf<typeof Prompts> = {};

export function titles(data: ResultOf<typeof Prompts>): string[] {
  const count: number = data.prompts?.totalCount ?? 0;
  return (data.prompts?.nodes ?? []).map((node) => {
    const card = useFragment(PromptCard, node);
    const amount: string = card.price.amount;
    // @ts-expect-error -- a prompt without reviews has no rating
    const rating: number = card.rating;
    return `${card.title} ${amount} ${card.price.currency} ${rating} of ${count}`;
  });
}

export function earnings(data: ResultOf<typeof Orders>): (string | undefined)[] {
  return (data.orders?.nodes ?? []).map((order) => {
    const placed: string = order.placedAt;
    return order.__typename === "PromptPurchase" ? order.sellerEarnings.amount : placed;
  });
}
