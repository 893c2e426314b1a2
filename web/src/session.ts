import { useSyncExternalStore } from "react";

/** Who is signed in on this page, and the token that says so. */
export interface Session {
  readonly accessToken: string;
  /** RFC 3339. */
  readonly accessTokenExpiresAt: string;
  readonly user: { readonly name: string | null; readonly email: string };
  readonly organization: { readonly name: string };
}

export type SessionState =
  | { readonly kind: "signed-out" }
  | { readonly kind: "signed-in"; readonly session: Session }
  | { readonly kind: "expired"; readonly session: Session };

// sessionStorage ends with the tab; a token never reaches localStorage, where GraphiQL keeps its tabs.
const STORAGE_KEY = "tributary.session";
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;
const SIGNED_OUT: SessionState = { kind: "signed-out" };

const listeners = new Set<() => void>();
let expiry: ReturnType<typeof setTimeout> | undefined;
let state: SessionState = SIGNED_OUT;

function change(next: SessionState): void {
  clearTimeout(expiry);
  state = next;
  if (next.kind === "signed-in") {
    const left = Date.parse(next.session.accessTokenExpiresAt) - Date.now();
    expiry = setTimeout(endSession, Math.min(Math.max(left, 0), LONGEST_TIMEOUT_MS));
  }
  for (const listener of listeners) listener();
}

export function startSession(session: Session): void {
  sessionStorage.setItem(STORAGE_KEY, JSON.stringify(session));
  change({ kind: "signed-in", session });
}

/** The token no longer works: the page says so and asks to sign in again. */
export function endSession(): void {
  if (state.kind !== "signed-in") return;
  sessionStorage.removeItem(STORAGE_KEY);
  change({ kind: "expired", session: state.session });
}

export function forgetSession(): void {
  sessionStorage.removeItem(STORAGE_KEY);
  change(SIGNED_OUT);
}

/** The token to send; `undefined` for nobody. */
export function accessToken(): string | undefined {
  return state.kind === "signed-in" ? state.session.accessToken : undefined;
}

export function useSession(): SessionState {
  return useSyncExternalStore(subscribe, () => state);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function restore(): void {
  const stored = sessionStorage.getItem(STORAGE_KEY);
  if (!stored) return;
  try {
    change({ kind: "signed-in", session: JSON.parse(stored) as Session });
  } catch {
    sessionStorage.removeItem(STORAGE_KEY);
  }
}

restore();
