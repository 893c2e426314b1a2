import { useEffect, useRef, useState, type FormEvent } from "react";
import { signIn } from "./signIn";

/** Asks for an address and a password; `onClose` when somebody is signed in, or does not want to be. */
export function SignInDialog({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();

  useEffect(() => dialog.current?.showModal(), []);

  async function send(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    setBusy(true);
    setProblem(undefined);
    try {
      await signIn({ email: String(given.get("email")).trim(), password: String(given.get("password")) });
      dialog.current?.close();
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  }

  return (
    <dialog ref={dialog} className="sign-in" aria-labelledby="sign-in-title" onClose={onClose}>
      <form onSubmit={(event) => void send(event)}>
        <h2 id="sign-in-title">Sign in</h2>
        <label>
          E-mail address
          <input name="email" type="email" autoComplete="username" required />
        </label>
        <label>
          Password
          <input name="password" type="password" autoComplete="current-password" required />
        </label>
        <p role="alert" className="problem">
          {problem}
        </p>
        <div className="sign-in-buttons">
          <a href="/account/reset-password">Forgot your password?</a>
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" className="primary" disabled={busy}>
            Sign in
          </button>
        </div>
      </form>
    </dialog>
  );
}
