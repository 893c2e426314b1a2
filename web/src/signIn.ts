import { httpUrl } from "./config";
import { cookiesWork } from "./cookies";
import { ask, Refusal, USER_ERRORS, type UserError } from "./graphql";
import { scheduleRenewal } from "./renewal";
import { currentState, dropSession, holdSession, sessionHeaders, type Session } from "./session";

const SESSION = "accessTokenExpiresAt user { name email } organization { name }";
const SIGN_OUT = `mutation SignOut { logout(input: {}) { ${USER_ERRORS} } }`;

export interface Credentials {
  readonly email: string;
  readonly password: string;
}

interface SignedIn {
  readonly login: {
    readonly session: (Session & { accessToken?: string }) | null;
    readonly userErrors: readonly UserError[];
  };
}

/**
 * Signs in, with the tokens in cookies that no script can read; where the browser keeps none, in memory.
 *
 * Throws an Error whose message is meant for the person.
 */
export async function signIn({ email, password }: Credentials): Promise<void> {
  if (currentState().kind === "signed-in") await signOut();
  const cookie = cookiesWork();
  const query = `mutation SignIn($input: LoginInput!) {
    login(input: $input) { session { ${SESSION} ${cookie ? "" : "accessToken"} } ${USER_ERRORS} }
  }`;
  const { login } = await ask<SignedIn>(httpUrl, query, { input: { email, password, cookie } });
  if (!login.session) throw new Error(login.userErrors[0]?.message ?? "The server did not say why.");
  const { accessToken, ...session } = login.session;
  holdSession(session, accessToken);
  scheduleRenewal(session);
}

/** Ends the session: its tokens end at once, everywhere. Throws an Error meant for the person when it goes on. */
export async function signOut(): Promise<void> {
  try {
    await ask(httpUrl, SIGN_OUT, {}, { headers: sessionHeaders() });
  } catch (error) {
    if (!(error instanceof Refusal && error.code === "UNAUTHENTICATED")) throw error; // else it is over already
  }
  dropSession("signed-out");
}
