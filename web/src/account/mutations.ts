import { csrfHeaders } from "../cookies";
import { ask, USER_ERRORS, type UserError } from "../graphql";

const API = "/graphql";

/** What a session is asked for here: never its tokens, which this page neither shows nor keeps. */
interface Outcome {
  readonly session?: { readonly organization: { readonly name: string } | null } | null;
  readonly userErrors: readonly UserError[];
}

const FIELDS = {
  confirmRegistration: USER_ERRORS,
  confirmIdentityLink: USER_ERRORS,
  requestPasswordReset: USER_ERRORS,
  resetPassword: USER_ERRORS,
  acceptInvitation: `session { organization { name } } ${USER_ERRORS}`,
} as const;

type Mutation = keyof typeof FIELDS;

/** Runs a mutation as nobody, whoever is signed in in this browser: a link speaks for itself. */
export async function run(mutation: Mutation, input: Readonly<Record<string, string>>): Promise<Outcome> {
  return asked(mutation, input, { credentials: "omit" });
}

/** Runs a mutation as who is signed in in this browser. */
export async function runSignedIn(mutation: Mutation, input: Readonly<Record<string, string>>): Promise<Outcome> {
  return asked(mutation, input, { headers: csrfHeaders() });
}

/** Who is signed in in this browser, as far as cookies tell. */
export async function signedInPerson(): Promise<string | undefined> {
  const headers = csrfHeaders();
  if (!("x-csrf-token" in headers)) return undefined;
  try {
    return (await ask<{ viewer: { email: string } }>(API, "{ viewer { email } }", {}, { headers })).viewer.email;
  } catch {
    return undefined; // The form for somebody who is not signed in does as well.
  }
}

async function asked(mutation: Mutation, input: object, init: RequestInit): Promise<Outcome> {
  const type = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}Input`;
  const query = `mutation ($input: ${type}!) { outcome: ${mutation}(input: $input) { ${FIELDS[mutation]} } }`;
  return (await ask<{ outcome: Outcome }>(API, query, { input }, init)).outcome;
}

/** Whether it is the link that is wrong: used, too old, replaced by a newer one, or cut off. */
export function isDead(errors: readonly UserError[]): boolean {
  return errors.some(({ code, field }) => code === "INVALID" && field?.at(-1) === "token");
}
