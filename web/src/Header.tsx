import { useState } from "react";
import type { DemoLogin } from "./config";
import { useSession, type SessionState } from "./session";
import { signIn, signOut } from "./signIn";
import { SignInDialog } from "./SignInDialog";

function Wordmark() {
  return (
    <h1 className="wordmark">
      <svg viewBox="0 0 32 32" aria-hidden="true" fill="none" strokeLinecap="round" strokeWidth="3">
        <path className="stream-left" d="M5 5c0 8 11 7 11 15" />
        <path className="stream-right" d="M27 5c0 8-11 7-11 15" />
        <path className="stream-main" d="M16 4v24" />
      </svg>
      Tributary
    </h1>
  );
}

function Identity({ state }: { state: SessionState }) {
  if (state.kind === "signed-in") {
    const { user, organization } = state.session;
    const name = user.name ?? user.email;
    return (
      <span className="identity" title={user.email}>
        <span className="avatar" aria-hidden="true">
          {name.slice(0, 1).toUpperCase()}
        </span>
        <span className="person">{name}</span>
        {organization && <span className="organization">{organization.name}</span>}
      </span>
    );
  }
  return <span>{NOBODY[state.kind]}</span>;
}

function Pages() {
  const pages = { "/graphql": "GraphiQL", "/events": "Events" };
  return (
    <nav className="pages" aria-label="Pages">
      {Object.entries(pages).map(([address, name]) => (
        <a key={address} href={address} aria-current={location.pathname === address ? "page" : undefined}>
          {name}
        </a>
      ))}
    </nav>
  );
}

const NOBODY = {
  looking: "…",
  "signed-out": "Not signed in",
  expired: "Your session has ended. Sign in again.",
} as const;

/** The bar above a page: who is signed in, and one-click sign-in where the gateway offers demo accounts. */
export function Header({ logins }: { logins: readonly DemoLogin[] }) {
  const state = useSession();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();
  const [asking, setAsking] = useState(false);
  const signedInAs = state.kind === "signed-in" ? state.session.user.email : undefined;

  async function attempt(what: () => Promise<void>, failed: string) {
    setBusy(true);
    setProblem(undefined);
    try {
      await what();
    } catch (error) {
      setProblem(`${failed} ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      setBusy(false);
    }
  }

  return (
    <header className="header">
      <Wordmark />
      <Pages />
      {logins.length > 0 && <span className="demo">Demo data</span>}
      <div className="session">
        {problem && (
          <span role="alert" className="problem">
            {problem}
          </span>
        )}
        <span role="status" className={state.kind}>
          <Identity state={state} />
        </span>
        {signedInAs && (
          <button type="button" disabled={busy} onClick={() => void attempt(signOut, "You are still signed in.")}>
            Sign out
          </button>
        )}
        {logins
          .filter(({ email }) => email !== signedInAs)
          .map((login) => (
            <button
              type="button"
              key={login.email}
              disabled={busy}
              onClick={() => void attempt(() => signIn(login), "Sign-in failed:")}
            >
              {signedInAs ? "Switch to" : "Sign in as"} {login.label}
            </button>
          ))}
        {!signedInAs && (
          <button type="button" disabled={busy} onClick={() => setAsking(true)}>
            Sign in
          </button>
        )}
      </div>
      {asking && <SignInDialog onClose={() => setAsking(false)} />}
    </header>
  );
}
