import type { ReactNode } from "react";
import { CopyButton } from "./CopyButton";
import type { StreamEvent } from "./event";

const LINE = 18;
const AROUND = 78;
const MOST_LINES = 18;
const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** How high an unfolded event is, in pixels: known before it is drawn, so that the list never jumps. */
export function heightOf(event: StreamEvent): number {
  return AROUND + LINE * Math.min(jsonOf(event).split("\n").length, MOST_LINES);
}

function jsonOf(event: StreamEvent): string {
  return JSON.stringify(event, null, 2);
}

/** An event as it was sent, and what one takes from it. */
export function Details({ event, link }: { event: StreamEvent; link: (after: string) => string }) {
  const json = jsonOf(event);
  return (
    <div className="details" style={{ height: heightOf(event) }}>
      <div className="details-buttons">
        <CopyButton label="Copy cursor" text={() => event.cursor} />
        <CopyButton label="Copy id" text={() => event.id} />
        <CopyButton label="Copy JSON" text={() => json} />
        <CopyButton label="Copy link to what follows" text={() => link(event.cursor)} />
      </div>
      <pre tabIndex={0} aria-label="The event as JSON">
        {coloured(json)}
      </pre>
    </div>
  );
}

function coloured(json: string): ReactNode[] {
  const parts: ReactNode[] = [];
  let end = 0;
  for (const match of json.matchAll(TOKEN)) {
    const kind = match[2] ? "key" : match[1] ? "text" : "value";
    const text = match[1] ?? match[0];
    parts.push(json.slice(end, match.index), <span key={match.index} className={`json-${kind}`} children={text} />);
    end = match.index + text.length;
  }
  return [...parts, json.slice(end)];
}
