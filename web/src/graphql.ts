import { compareClocks } from "./clock";

/** Something that the person can mend. `field` is the path into the input. */
export interface UserError {
  readonly code: string;
  readonly message: string;
  readonly field: readonly string[] | null;
}

export const USER_ERRORS = "userErrors { code message field }";

/** Nothing was done. The message is meant for the person; `code` is the server's, where it has answered. */
export class Refusal extends Error {
  constructor(
    message: string,
    readonly code?: string | undefined,
  ) {
    super(message);
  }
}

interface Answer<Data> {
  readonly data?: Data | null;
  readonly errors?: readonly { readonly message: string; readonly extensions?: { readonly code?: string } }[];
}

/** Sends an operation and returns its data, in which single fields may be null. Throws `Refusal` when all are. */
export async function ask<Data extends object>(
  url: string,
  query: string,
  variables: object,
  init: RequestInit = {},
): Promise<Data> {
  const { data, errors } = await answerTo<Data>(url, query, variables, init);
  if (data && Object.values(data).some((field) => field !== null)) return data;
  const [error] = errors ?? [];
  const message = error?.message ?? "This page does not understand the answer of the server.";
  throw new Refusal(message, error?.extensions?.code);
}

async function answerTo<Data>(url: string, query: string, variables: object, init: RequestInit): Promise<Answer<Data>> {
  let response;
  try {
    response = await fetch(url, {
      ...init,
      method: "POST",
      headers: {
        ...init.headers,
        "content-type": "application/json",
        accept: "application/graphql-response+json, application/json",
      },
      body: JSON.stringify({ query, variables }),
    });
  } catch {
    throw new Refusal("The server cannot be reached. Look at your connection, and try again.");
  }
  compareClocks(response);
  try {
    return (await response.json()) as Answer<Data>;
  } catch {
    throw new Refusal(`The server answers with status ${response.status}. Try again in a minute.`);
  }
}
