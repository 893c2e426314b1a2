import type { StreamState } from "./stream";

const WORDS = {
  closed: "Signed out",
  opening: "Opening…",
  "catching-up": "Catching up",
  live: "Live",
  paused: "Paused",
  reconnecting: "Reconnecting",
  stopped: "Stopped",
} as const;

/** Whether the list is of this moment. Only this is read out as it changes, and no row is. */
export function Connection({ state, onRetry }: { state: StreamState; onRetry: () => void }) {
  const waits = state.kind === "reconnecting" && state.seconds > 2;
  return (
    <span className="connection">
      <span role="status" className={`state state-${state.kind}`}>
        {WORDS[state.kind]}
        {state.kind === "reconnecting" && <span className="why">{state.why}</span>}
      </span>
      {waits && (
        <button type="button" className="plain" onClick={onRetry}>
          Try now
        </button>
      )}
    </span>
  );
}
