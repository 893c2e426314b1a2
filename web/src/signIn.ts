import { httpUrl, type DemoLogin } from "./config";
import { forgetSession, startSession, type Session } from "./session";

const SIGN_IN = `mutation SignIn($input: LoginInput!) {
  login(input: $input) {
    session { accessToken accessTokenExpiresAt user { name email } organization { name } }
    userErrors { message }
  }
}`;

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

/** Forgets the token: without it this page is signed out, and the token ends by itself. */
export function signOut(): void {
  forgetSession();
}

function post(query: string, variables: object): Promise<Response> {
  return fetch(httpUrl, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/graphql-response+json, application/json",
    },
    body: JSON.stringify({ query, variables }),
  });
}
