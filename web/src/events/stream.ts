import { untilMoment } from "../clock";
import { renewSession } from "../renewal";
import { currentState } from "../session";
import { newestCursor, newestEvents } from "./api";
import type { StreamEvent } from "./event";
import type { Feed } from "./feed";
import { eventFilter, type Filter } from "./filter";
import { openLine } from "./line";
import { endingOfRefusal, type Ending, type Problem } from "./problem";
import type { Selection } from "./selection";

export type StreamState =
  | { readonly kind: "closed" | "opening" | "catching-up" | "live" | "paused" }
  | { readonly kind: "reconnecting"; readonly why: string; readonly seconds: number }
  | { readonly kind: "stopped"; readonly problem: Problem };

const FIRST_WAIT_S = 0.5;
const LONGEST_WAIT_S = 30;
/** Who was connected for so long is not one of those that come again and again. */
const STABLE_MS = 10_000;
/** An event younger than that is news, whatever else is on its way. */
const NEWS_MS = 2_000;

interface Source {
  readonly filter: Filter;
  readonly selection: Selection;
}

/**
 * The stream of events into a feed: the newest ones or what came after a cursor, then live. It comes back by itself after
 * a break, from the last event that it has; the feed drops what it has already.
 */
export class EventStream {
  #state: StreamState = { kind: "closed" };
  #source: Source | undefined;
  /** Where to go on: `undefined` before the newest events are there. */
  #after: string | undefined;
  /** All before this event has been missed, and is on its way. */
  #target: string | undefined;
  #wait = FIRST_WAIT_S;
  #connectedAt = Infinity;
  #stop = (): void => {};
  #skipWait: (() => void) | undefined;
  /** Names the attempt that is under way: what a former one still has to say is not heard. */
  #attempt: object | undefined;
  readonly #listeners = new Set<() => void>();

  constructor(private readonly feed: Feed) {
    addEventListener("online", () => this.now());
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly state = (): StreamState => this.#state;

  /** Begins anew, from `after` or with the newest events. */
  open(source: Source, after: string | undefined): void {
    this.close();
    this.feed.clear();
    this.#source = source;
    this.#after = after;
    this.#begin({ kind: "opening" });
  }

  /** Lets go of the server; the feed keeps what it has. */
  pause(): void {
    this.#end();
    this.#change({ kind: "paused" });
  }

  /** Goes on from the last event: what happened meanwhile comes first. */
  resume(): void {
    this.#begin({ kind: this.#after === undefined ? "opening" : "catching-up" });
  }

  /** Tries again now, if it waits for that. */
  now(): void {
    this.#skipWait?.();
  }

  close(): void {
    this.#end();
    this.#change({ kind: "closed" });
  }

  #end(): void {
    this.#attempt = undefined;
    this.#stop();
    this.#stop = () => {};
  }

  #begin(state: StreamState): void {
    this.#end();
    const attempt = (this.#attempt = {});
    this.#change(state);
    void this.#run(attempt, this.#source!);
  }

  async #run(attempt: object, { filter, selection }: Source): Promise<void> {
    const current = () => attempt === this.#attempt;
    if (this.#after === undefined) {
      try {
        const { events, after } = await newestEvents(filter, selection);
        if (!current()) return;
        for (const event of events) this.feed.take(event);
        this.#after = after;
      } catch (error) {
        if (current()) await this.#goOn(attempt, endingOfRefusal(error));
        return;
      }
    }
    const query = `subscription Events($filter: EventFilter, $after: String) {
      events(filter: $filter, after: $after) { ${selection.text} }
    }`;
    this.#stop = openLine(
      { query, filter: eventFilter(filter), after: this.#after },
      {
        connected: () => current() && void this.#catchUp(attempt, filter),
        event: (event) => current() && this.#take(selection.restored(event)),
        ended: (ending) => current() && void this.#goOn(attempt, ending),
      },
    );
  }

  #take(event: StreamEvent): void {
    this.feed.take(event);
    this.#after = event.cursor;
    if (this.#state.kind === "live") return;
    if (event.cursor === this.#target || untilMoment(event.at) > -NEWS_MS) this.#change({ kind: "live" });
  }

  /** Finds out what is still on its way: the stream itself does not tell where what was missed ends. */
  async #catchUp(attempt: object, filter: Filter): Promise<void> {
    this.#connectedAt = performance.now();
    this.#target = undefined;
    if (this.#state.kind !== "opening") this.#change({ kind: "catching-up" });
    let head: string | undefined;
    try {
      head = await newestCursor(filter);
    } catch {
      // Then it looks live a little early.
    }
    if (attempt !== this.#attempt) return;
    if (head && head !== this.#after && !this.feed.has(head)) {
      this.#target = head;
      this.#change({ kind: "catching-up" });
    } else this.#change({ kind: "live" });
  }

  async #goOn(attempt: object, ending: Ending): Promise<void> {
    this.#stop();
    if (ending.kind === "stop") {
      this.#attempt = undefined;
      this.#change({ kind: "stopped", problem: ending.problem });
      return;
    }
    if (ending.kind === "renew") {
      await renewSession();
      if (attempt !== this.#attempt || currentState().kind !== "signed-in") return;
    }
    const why = ending.kind === "renew" ? "Your session is renewed." : ending.why;
    await this.#pauseBefore(why);
    if (attempt === this.#attempt) void this.#run(attempt, this.#source!);
  }

  /** Waits longer each time, and never for as long as all others that lost the same server. */
  async #pauseBefore(why: string): Promise<void> {
    if (performance.now() - this.#connectedAt > STABLE_MS) this.#wait = FIRST_WAIT_S;
    this.#connectedAt = Infinity;
    const seconds = this.#wait * (0.5 + Math.random());
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_S);
    this.#change({ kind: "reconnecting", why, seconds });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.#skipWait = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#skipWait = undefined;
  }

  #change(state: StreamState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }
}
