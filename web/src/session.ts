import { useSyncExternalStore } from "react";
import { csrfHeaders, csrfToken, dropCsrfToken } from "./cookies";

/** Who is signed in on this page. */
export interface Session {
  /** RFC 3339: until when it holds without being renewed. */
  readonly accessTokenExpiresAt: string;
  readonly user: { readonly name: string | null; readonly email: string };
  readonly organization: { readonly name: string } | null;
}

export type SessionState =
  | { readonly kind: "looking" }
  | { readonly kind: "signed-out" }
  | { readonly kind: "signed-in"; readonly session: Session }
  | { readonly kind: "expired" };

// When the access token in the cookie ends: it tells the tabs of this browser of each other, and holds no secret.
const ENDS_AT = "tributary.session-ends-at";

const listeners = new Set<() => void>();
let state: SessionState = { kind: csrfToken() ? "looking" : "signed-out" };
// Only where the browser keeps no cookies of this host; in memory, so that it ends with the page.
let bearer: string | undefined;

function change(next: SessionState): void {
  state = next;
  for (const listener of listeners) listener();
}

/** Somebody has signed in, or their session goes on. `accessToken` where it is in no cookie. */
export function holdSession(session: Session, accessToken?: string): void {
  bearer = accessToken;
  if (!accessToken) localStorage.setItem(ENDS_AT, session.accessTokenExpiresAt);
  change({ kind: "signed-in", session });
}

/** Nobody is signed in any more: they wanted it so, or the session is over and the page asks to sign in again. */
export function dropSession(kind: "signed-out" | "expired"): void {
  bearer = undefined;
  dropCsrfToken();
  localStorage.removeItem(ENDS_AT);
  change({ kind });
}

export function currentState(): SessionState {
  return state;
}

/** Whether the session is in cookies, which every tab of this browser has. */
export function isInCookies(): boolean {
  return bearer === undefined;
}

/** When the access token in the cookie ends, as the tab that renewed last has noted it. RFC 3339. */
export function notedEnd(): string | undefined {
  return localStorage.getItem(ENDS_AT) ?? undefined;
}

/** What makes a request one of the session: a token, or the proof that this page sends the cookie. */
export function sessionHeaders(): Record<string, string> {
  return bearer ? { authorization: `Bearer ${bearer}` } : csrfHeaders();
}

/** Calls `changed` when another tab has signed in or out, or renewed the session. */
export function onOtherTab(changed: () => void): void {
  addEventListener("storage", ({ key }) => {
    if (key === ENDS_AT || key === null) changed();
  });
}

export function useSession(): SessionState {
  return useSyncExternalStore(subscribe, () => state);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
