import type { StreamEvent } from "./event";
import { textOf } from "./reading";

/** As many rows are kept; the oldest make room. */
export const MOST_ROWS = 2_000;
/** Seconds that the rate looks back. */
export const SECONDS = 60;

/** The list changes no more often than that: nobody reads faster, and each change has the whole list painted. */
const PAUSE_MS = 50;
const HIDDEN_MS = 500;

/** What the page shows at a moment; a new object whenever something of it changes. */
export interface Shown {
  /** Oldest first. */
  readonly events: readonly StreamEvent[];
  /** How many came while the reader held the list, and are not in it yet. */
  readonly waiting: number;
  /** How many came since the stream was opened. */
  readonly received: number;
  /** How many are kept, whatever the text that is looked for. */
  readonly kept: number;
  readonly lastCursor: string | null;
}

const NOTHING: Shown = { events: [], waiting: 0, received: 0, kept: 0, lastCursor: null };

/**
 * The events of the page. They may come as fast as they like: what the page shows changes with a frame, no
 * more often than can be read, and not at all while the reader holds it.
 */
export class Feed {
  #kept: StreamEvent[] = [];
  #fresh: StreamEvent[] = [];
  #pending: StreamEvent[] = [];
  readonly #known = new Set<string>();
  readonly #counts = new Map<number, number>();
  readonly #listeners = new Set<() => void>();
  #shown = NOTHING;
  #held = false;
  #text = "";
  #frame: (() => void) | undefined;
  #flushedAt = -Infinity;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly shown = (): Shown => this.#shown;

  /** Takes an event, unless it is one of those that it has. */
  take(event: StreamEvent): void {
    if (this.#known.has(event.cursor)) return;
    this.#known.add(event.cursor);
    this.#pending.push(event);
    const second = Math.floor(performance.now() / 1000);
    this.#counts.set(second, (this.#counts.get(second) ?? 0) + 1);
    if (this.#pending.length >= MOST_ROWS) this.#flush();
    else this.#frame ??= soon(() => this.#flush(), this.#flushedAt + PAUSE_MS - performance.now());
  }

  has(cursor: string): boolean {
    return this.#known.has(cursor);
  }

  /** The cursor of the last event that was taken, shown or not. */
  get last(): string | null {
    return this.#pending.at(-1)?.cursor ?? this.#shown.lastCursor;
  }

  clear(): void {
    this.#frame?.();
    this.#frame = undefined;
    [this.#kept, this.#fresh, this.#pending] = [[], [], []];
    this.#known.clear();
    this.#counts.clear();
    this.#held = false;
    this.#change(NOTHING);
  }

  /** Leaves the list as it is until it is let go, so that nobody reads on moving ground. */
  hold(held: boolean): void {
    if (held === this.#held) return;
    this.#held = held;
    if (held) return;
    const events = newest(this.#shown.events, this.#fresh);
    this.#fresh = [];
    this.#change({ ...this.#shown, events, waiting: 0 });
  }

  /** Shows only events in which `text` stands, in whatever case. */
  search(text: string): void {
    this.#text = text.trim().toLowerCase();
    this.#fresh = [];
    this.#change({ ...this.#shown, events: this.#fitting(this.#kept), waiting: 0 });
  }

  /** How many came in each of the last whole seconds, oldest first. */
  rates(): number[] {
    const now = Math.floor(performance.now() / 1000);
    for (const second of this.#counts.keys()) if (second < now - SECONDS) this.#counts.delete(second);
    return Array.from({ length: SECONDS }, (_, index) => this.#counts.get(now - SECONDS + index) ?? 0);
  }

  #flush(): void {
    this.#frame?.();
    this.#frame = undefined;
    this.#flushedAt = performance.now();
    const [batch, before] = [this.#pending, this.#shown];
    this.#pending = [];
    this.#kept = newest(this.#kept, batch, (gone) => this.#known.delete(gone.cursor));
    const fitting = this.#fitting(batch);
    if (this.#held) this.#fresh = newest(this.#fresh, fitting);
    this.#change({
      events: this.#held || fitting.length === 0 ? before.events : newest(before.events, fitting),
      waiting: this.#held ? before.waiting + fitting.length : 0,
      received: before.received + batch.length,
      kept: this.#kept.length,
      lastCursor: batch.at(-1)?.cursor ?? before.lastCursor,
    });
  }

  #fitting(events: StreamEvent[]): StreamEvent[] {
    return this.#text ? events.filter((event) => textOf(event).includes(this.#text)) : events;
  }

  #change(shown: Shown): void {
    this.#shown = shown;
    for (const listener of this.#listeners) listener();
  }
}

function newest(
  before: readonly StreamEvent[],
  more: readonly StreamEvent[],
  forget?: (event: StreamEvent) => void,
): StreamEvent[] {
  const all = before.concat(more);
  const excess = Math.max(0, all.length - MOST_ROWS);
  if (forget) for (let index = 0; index < excess; index++) forget(all[index]!);
  return excess > 0 ? all.slice(excess) : all;
}

/** Runs something with the first frame after a while, or later where nobody looks; returns how to call it off. */
function soon(run: () => void, milliseconds: number): () => void {
  let frame = 0;
  const timer = setTimeout(
    () => (document.hidden ? run() : (frame = requestAnimationFrame(run))),
    document.hidden ? HIDDEN_MS : Math.max(0, milliseconds),
  );
  return () => {
    clearTimeout(timer);
    cancelAnimationFrame(frame);
  };
}
