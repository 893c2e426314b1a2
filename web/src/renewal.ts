import { untilMoment } from "./clock";
import { httpUrl } from "./config";
import { csrfHeaders, csrfToken } from "./cookies";
import { ask, Refusal } from "./graphql";
import { currentState, dropSession, holdSession, isInCookies, notedEnd, onOtherTab, type Session } from "./session";

const WHO = "{ viewer { name email } organization { name } }";
const RENEW = `mutation Renew {
  refreshSession(input: {}) { session { accessTokenExpiresAt user { name email } organization { name } } }
}`;
const LOCK = "tributary.session";
const EARLY_MS = 60_000;
const LEAST_PAUSE_MS = 5_000;
const RETRY_MS = 15_000;

let timer: ReturnType<typeof setTimeout> | undefined;

/** Finds the session that the cookies hold from before, and keeps it from ending while the page is open. */
export function keepSession(): void {
  onOtherTab(() => void findSession());
  // A laptop that slept has missed its moment.
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && void freshSession());
  void findSession();
}

/** Waits for the moment to renew the session that has begun, or goes on. */
export function scheduleRenewal({ accessTokenExpiresAt }: Session): void {
  const left = untilMoment(accessTokenExpiresAt);
  // Not all tabs at the same moment: the first one does it for the others.
  const early = EARLY_MS * (1 + Math.random());
  again(() => renewSession(), isInCookies() ? Math.max(left - early, left / 2, LEAST_PAUSE_MS) : left);
}

/** Renews a session whose access token has ended, so that what is sent next is not refused. */
export async function freshSession(): Promise<void> {
  const state = currentState();
  if (state.kind !== "signed-in" || untilMoment(state.session.accessTokenExpiresAt) > 0) return;
  await renewSession();
}

/** Gets a new access token for the session whose last one ends at `end`, or says that the session is over. */
export async function renewSession(end = ownEnd()): Promise<void> {
  if (!isInCookies()) return dropSession("expired");
  // A refresh token works once, and two tabs that use it at the same moment look like a theft: one at a time. What the
  // other has noted may come here later than the lock does; then this one renews again, with the cookie of by then.
  const byAnother = await navigator.locks.request(LOCK, async () => notedEnd() !== end || renew());
  if (byAnother === true) await findSession();
}

function ownEnd(): string | undefined {
  const state = currentState();
  return state.kind === "signed-in" ? state.session.accessTokenExpiresAt : notedEnd();
}

async function renew(): Promise<void> {
  if (!csrfToken()) return dropSession("expired");
  try {
    const { refreshSession } = await ask<{ refreshSession: { session: Session | null } }>(
      httpUrl,
      RENEW,
      {},
      { headers: csrfHeaders() },
    );
    if (!refreshSession.session) return dropSession("expired");
    holdSession(refreshSession.session);
    scheduleRenewal(refreshSession.session);
  } catch {
    again(() => renewSession(), RETRY_MS); // Not refused: the network or the server is gone, and the session may hold.
  }
}

/** Looks whom the cookies speak for: they may be from before, or another tab has signed in or out. */
async function findSession(): Promise<void> {
  if (!isInCookies()) return;
  if (!csrfToken()) {
    if (currentState().kind !== "expired") dropSession("signed-out");
    return;
  }
  const noted = notedEnd();
  if (!noted) return renewSession(noted);
  try {
    const { viewer, organization } = await ask<{
      viewer: Session["user"] | null;
      organization: Session["organization"];
    }>(httpUrl, WHO, {}, { headers: csrfHeaders() });
    if (!viewer) return await renewSession(noted);
    const session = { accessTokenExpiresAt: noted, user: viewer, organization };
    holdSession(session);
    scheduleRenewal(session);
  } catch (error) {
    if (error instanceof Refusal && error.code === "UNAUTHENTICATED") return renewSession(noted);
    again(findSession, RETRY_MS);
  }
}

function again(what: () => Promise<void>, milliseconds: number): void {
  clearTimeout(timer);
  timer = setTimeout(() => void what(), milliseconds);
}
