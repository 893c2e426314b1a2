import { useState } from "react";
import { SignInDialog } from "../SignInDialog";
import type { Problem } from "./problem";

/** What stands in the place of the list while there is nothing in it. */
export function Empty({ title, children, busy }: { title: string; children?: React.ReactNode; busy?: boolean }) {
  return (
    <div className="empty">
      <svg viewBox="0 0 32 32" aria-hidden="true" fill="none" strokeLinecap="round" strokeWidth="2.5" className={busy ? "busy" : ""}>
        <path className="stream-left" d="M5 5c0 8 11 7 11 15" />
        <path className="stream-right" d="M27 5c0 8-11 7-11 15" />
        <path className="stream-main" d="M16 4v24" />
      </svg>
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function SignedOut({ expired }: { expired: boolean }) {
  const [asking, setAsking] = useState(false);
  return (
    <Empty title={expired ? "Your session has ended" : "Sign in to see events"}>
      <p>Here is what happens in your organization, as it happens: orders, sign-ins, and whatever else its platforms tell.</p>
      <button type="button" className="primary" onClick={() => setAsking(true)}>
        {expired ? "Sign in again" : "Sign in with a password"}
      </button>
      {asking && <SignInDialog onClose={() => setAsking(false)} />}
    </Empty>
  );
}

/** What went wrong, above the events that are there. */
export function ProblemBar({ problem, onOpen, onRetry }: { problem: Problem; onOpen: (after: string | undefined) => void; onRetry: () => void }) {
  const { title, message, action } = problem;
  return (
    <div role="alert" className="problem-bar">
      <p>
        <strong>{title}.</strong> {message}
      </p>
      {action && (
        <button type="button" className="control" onClick={() => onOpen(action.after)}>
          {action.label}
        </button>
      )}
      <button type="button" className="control" onClick={onRetry}>
        Try again
      </button>
    </div>
  );
}
