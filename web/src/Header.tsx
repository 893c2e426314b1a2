import { useState } from "react";
import type { DemoLogin } from "./config";
import { useSession, type SessionState } from "./session";
import { signIn, signOut } from "./signIn";

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
        <span className="organization">{organization.name}</span>
      </span>
    );
  }
  return <span>{state.kind === "expired" ? "Your session has ended. Sign in again." : "Not signed in"}</span>;
}

/** The bar above GraphiQL: who is signed in, and one-click sign-in where the gateway offers demo accounts. */
export function Header({ logins }: { logins: readonly DemoLogin[] }) {
  const state = useSession();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();
  const signedInAs = state.kind === "signed-in" ? state.session.user.email : undefined;

  async function start(login: DemoLogin) {
    setBusy(true);
    setProblem(undefined);
    try {
      await signIn(login);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  }

  return (
    <header className="header">
      <Wordmark />
      {logins.length > 0 && <span className="demo">Demo data</span>}
      <div className="session">
        {problem && (
          <span role="alert" className="problem">
            Sign-in failed: {problem}
          </span>
        )}
        <span role="status" className={state.kind}>
          <Identity state={state} />
        </span>
        {signedInAs && (
          <button type="button" onClick={signOut}>
            Sign out
          </button>
        )}
        {logins
          .filter(({ email }) => email !== signedInAs)
          .map((login) => (
            <button type="button" key={login.email} disabled={busy} onClick={() => void start(login)}>
              {signedInAs ? "Switch to" : "Sign in as"} {login.label}
            </button>
          ))}
        {logins.length === 0 && !signedInAs && (
          <span className="hint">Put your token under Headers: {'{"authorization": "Bearer …"}'}</span>
        )}
      </div>
    </header>
  );
}
