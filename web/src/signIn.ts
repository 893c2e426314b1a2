import { httpUrl, type DemoLogin } from "./config";
import { accessToken, forgetSession, startSession, type Session } from "./session";

const SIGN_IN = `mutation SignIn($input: LoginInput!) {
  login(input: $input) {
    session { accessToken accessTokenExpiresAt user { name email } organization { name } }
    userErrors { message }
  }
}`;

const SIGN_OUT = `mutation SignOut { logout(input: {}) { userErrors { message } } }`;

interface SignInResponse {
  data?: { login: { session: Session | null; userErrors: { message: string }[] } | null } | null;
  errors?: { message: string }[];
}

/** Signs in and keeps the session. Throws an Error whose message is meant for the person. */
export async function signIn({ email, password }: DemoLogin): Promise<void> {
  const response = await post(SIGN_IN, { input: { email, password } });
  const { data, errors } = (await response.json()) as SignInResponse;
  const session = data?.login?.session;
  if (!session) {
    const problem = data?.login?.userErrors[0] ?? errors?.[0];
    throw new Error(problem?.message ?? `The server answered with status ${response.status}.`);
  }
  startSession(session);
}

/** Forgets the token here at once, and asks the server to revoke it. */
export function signOut(): void {
  const token = accessToken();
  forgetSession();
  // A token that the server cannot revoke now ends by itself; the page has already dropped it.
  if (token) post(SIGN_OUT, {}, token).catch(() => undefined);
}

function post(query: string, variables: object, token?: string): Promise<Response> {
  return fetch(httpUrl, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/graphql-response+json, application/json",
      ...(token && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ query, variables }),
  });
}
