import type { GraphQLFormattedError } from "graphql";
import { createClient } from "graphql-ws";
import { webSocketUrl } from "../config";
import { freshSession } from "../renewal";
import { sessionHeaders } from "../session";
import type { StreamEvent } from "./event";
import { endingOf, endingOfSocket, type Ending } from "./problem";

const PING_MS = 10_000;
const PONG_MS = 5_000;

interface Asked {
  readonly query: string;
  readonly filter: object | null;
  readonly after: string;
}

interface Listener {
  connected(): void;
  event(event: StreamEvent): void;
  /** Called once, unless the line was cut from here. */
  ended(ending: Ending): void;
}

/** One socket that carries the events after a cursor, until it ends; returns how to cut it. */
export function openLine({ query, filter, after }: Asked, listener: Listener): () => void {
  let cut = false;
  let silence: ReturnType<typeof setTimeout> | undefined;
  let refused: readonly GraphQLFormattedError[] | undefined;
  const client = createClient<Record<string, string>>({
    url: webSocketUrl,
    retryAttempts: 0, // Going on is more than subscribing again: it needs the cursor of the last event.
    keepAlive: PING_MS,
    async connectionParams() {
      await freshSession();
      return sessionHeaders();
    },
    on: {
      connected: () => cut || listener.connected(),
      // A line that died without a word answers no ping.
      ping: (received) => !received && (silence = setTimeout(() => client.terminate(), PONG_MS)),
      pong: (received) => received && clearTimeout(silence),
    },
  });
  function end(ending: Ending): void {
    clearTimeout(silence);
    if (cut) return;
    cut = true;
    listener.ended(ending);
    void client.dispose();
  }
  client.subscribe<{ events: StreamEvent | null }>(
    { query, variables: { filter, after } },
    {
      next({ data, errors }) {
        if (cut) return;
        if (data?.events) listener.event(data.events);
        else refused = errors;
      },
      error: (error) => end(Array.isArray(error) ? endingOf(error, after) : endingOfSocket(error)),
      // The server that stops completes what it streams; one that lets nobody in says why before.
      complete: () => end(refused ? endingOf(refused, after) : { kind: "again", why: "The server ended the stream." }),
    },
  );
  return () => {
    cut = true;
    clearTimeout(silence);
    void client.dispose();
  };
}
