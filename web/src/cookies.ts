const CSRF = "__Host-tributary-csrf";
const PROBE = "__Host-tributary-probe";
const GONE = "; Path=/; Secure; Max-Age=0";

/** What each POST in the name of a session in cookies repeats in a header; `undefined` where there is no session. */
export function csrfToken(): string | undefined {
  return valueOf(CSRF);
}

/** The headers that go with the cookies of a session. */
export function csrfHeaders(): Record<string, string> {
  const token = csrfToken();
  return token ? { "x-csrf-token": token } : {};
}

/** Forgets the one cookie that a script may touch: without it the others change nothing. */
export function dropCsrfToken(): void {
  document.cookie = `${CSRF}=${GONE}`;
}

/** Whether this browser keeps Secure cookies of this host. Safari does not over plain HTTP, not even on localhost. */
export function cookiesWork(): boolean {
  document.cookie = `${PROBE}=1; Path=/; Secure; SameSite=Strict`;
  const kept = valueOf(PROBE) !== undefined;
  document.cookie = `${PROBE}=${GONE}`;
  return kept;
}

function valueOf(name: string): string | undefined {
  const pair = document.cookie.split("; ").find((each) => each.startsWith(`${name}=`));
  return pair?.slice(name.length + 1) || undefined;
}
