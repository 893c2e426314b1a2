import { useEffect, useState, useSyncExternalStore } from "react";
import type { DemoLogin } from "../config";
import { Header } from "../Header";
import { useSession, type SessionState } from "../session";
import { loadCatalogue, type Catalogue } from "./api";
import { Connection } from "./Connection";
import { CopyButton } from "./CopyButton";
import { Empty, ProblemBar, SignedOut } from "./Empty";
import { EventTable } from "./EventTable";
import { Feed, MOST_ROWS } from "./feed";
import { addressOf, EVERYTHING, eventFilter, readPlace, type Place } from "./filter";
import { Filters } from "./Filters";
import { endingOfRefusal, type Problem } from "./problem";
import { Rate } from "./Rate";
import { EventStream, type StreamState } from "./stream";

const feed = new Feed();
const stream = new EventStream(feed);
const RETRY_MS = 5_000;

/** Who sees the events: nobody else may see what is left of theirs. */
function viewerOf(state: SessionState): string | undefined {
  return state.kind === "signed-in" ? JSON.stringify([state.session.user.email, state.session.organization?.name]) : undefined;
}

/** What the schema offers to who is signed in; asked for again until it is there. */
function useCatalogue(viewer: string | undefined) {
  const [found, setFound] = useState<{ viewer: string; catalogue: Catalogue }>();
  const [problem, setProblem] = useState<Problem>();
  const [asked, setAsked] = useState(0);

  useEffect(() => {
    if (!viewer) return;
    let left = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    setProblem(undefined);
    loadCatalogue().then(
      (catalogue) => left || setFound({ viewer, catalogue }),
      (error: unknown) => {
        if (left) return;
        const ending = endingOfRefusal(error);
        if (ending.kind === "stop") setProblem(ending.problem);
        else timer = setTimeout(() => setAsked(asked + 1), RETRY_MS);
      },
    );
    return () => {
      left = true;
      clearTimeout(timer);
    };
  }, [viewer, asked]);

  return { catalogue: found && found.viewer === viewer ? found.catalogue : undefined, problem, again: () => setAsked(asked + 1) };
}

/** The page: who is signed in, what to show, and the list. */
export function EventsPage({ logins }: { logins: readonly DemoLogin[] }) {
  const session = useSession();
  const viewer = viewerOf(session);
  const state = useSyncExternalStore(stream.subscribe, stream.state);
  const shown = useSyncExternalStore(feed.subscribe, feed.shown);
  const [place, setPlace] = useState(readPlace);
  const { catalogue, problem, again } = useCatalogue(viewer);
  const { filter, after } = place;
  const asked = JSON.stringify([eventFilter(filter), after]);

  useEffect(() => history.replaceState(null, "", addressOf(place)), [place]);
  useEffect(() => feed.search(filter.text), [filter.text]);
  useEffect(() => {
    if (catalogue) stream.open({ filter, selection: catalogue.selection }, after);
    return () => {
      stream.close();
      feed.clear();
    };
    // The text is looked for here; all else opens another stream.
  }, [catalogue, asked]);

  const link = (from: string | undefined) => addressOf({ filter, after: from });
  const isPaused = state.kind === "paused";
  const stateShown: StreamState = problem ? { kind: "stopped", problem } : catalogue ? state : { kind: "opening" };
  const stopped = problem ?? (state.kind === "stopped" ? state.problem : undefined);

  return (
    <>
      <Header logins={logins} />
      <main className="events">
        <h2 className="unseen">Live events</h2>
        {viewer && (
          <div className="toolbar">
            <Filters catalogue={catalogue} place={place} onChange={setPlace} />
            <div className="stream">
              <Rate feed={feed} />
              <Connection state={stateShown} onRetry={() => stream.now()} />
              <button
                type="button"
                className="control pause"
                disabled={state.kind === "closed" || state.kind === "stopped"}
                onClick={() => (isPaused ? stream.resume() : stream.pause())}
              >
                {isPaused ? "Resume" : "Pause"}
              </button>
            </div>
          </div>
        )}
        {viewer && stopped && (
          <ProblemBar
            problem={stopped}
            onOpen={(from) => {
              if (from === after) stream.resume();
              else setPlace({ filter, after: from });
            }}
            onRetry={() => (problem ? again() : stream.resume())}
          />
        )}
        {viewer && <List shown={shown} place={place} state={stateShown.kind} link={link} onPlace={setPlace} />}
        {session.kind === "looking" && <Empty title="Looking who you are…" busy />}
        {(session.kind === "signed-out" || session.kind === "expired") && <SignedOut expired={session.kind === "expired"} />}
        {viewer && (
          <footer className="foot">
            <span>
              {shown.received.toLocaleString()} received
              {shown.received > shown.kept && `, the newest ${MOST_ROWS.toLocaleString()} kept`}
              {filter.text && `, ${shown.events.length.toLocaleString()} with this text`}
            </span>
            {shown.lastCursor && (
              <span className="last-cursor">
                <span className="name">
                  Cursor <code title={shown.lastCursor}>{shown.lastCursor}</code>
                </span>
                <CopyButton label="Copy cursor" text={() => feed.last ?? ""} />
              </span>
            )}
            <CopyButton label="Copy link from here" text={() => link(feed.last ?? after)} />
          </footer>
        )}
      </main>
    </>
  );
}

interface ListProps {
  readonly shown: ReturnType<Feed["shown"]>;
  readonly place: Place;
  readonly state: StreamState["kind"];
  readonly link: (after: string) => string;
  readonly onPlace: (place: Place) => void;
}

function List({ shown, place, state, link, onPlace }: ListProps) {
  const { filter } = place;
  if (shown.events.length > 0) {
    return <EventTable events={shown.events} waiting={shown.waiting} link={link} onHold={(held) => feed.hold(held)} />;
  }
  const clear = (
    <button type="button" className="control" onClick={() => onPlace({ ...place, filter: EVERYTHING })}>
      Clear filter
    </button>
  );
  if (state === "stopped") return <Empty title="Nothing to show" />;
  if (shown.kept > 0) {
    return (
      <Empty title="No event has this text">
        <p>
          None of the {shown.kept.toLocaleString()} events that are here contains “{filter.text}”. New ones that do appear by
          themselves.
        </p>
        {clear}
      </Empty>
    );
  }
  if (state !== "live" && state !== "paused") return <Empty title="Reading the log…" busy />;
  if (eventFilter(filter)) {
    return (
      <Empty title="Nothing fits yet">
        <p>No event that is kept fits this filter. New ones that do appear by themselves.</p>
        {clear}
      </Empty>
    );
  }
  return (
    <Empty title="Nothing has happened yet">
      <p>Events appear here by themselves: change an order, or sign in somewhere.</p>
    </Empty>
  );
}
