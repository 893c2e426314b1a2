import { useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent, type MouseEvent } from "react";
import { Details, heightOf } from "./Details";
import type { StreamEvent } from "./event";
import { zone } from "./reading";
import { Cells } from "./Row";

const ROW = 34;
const HEAD = 30;
const BEYOND = 6;
const COLUMNS = ["Type", "What", "Business", "Platform", "Cursor"] as const;

interface TableProps {
  /** Oldest first; the list shows the newest first. */
  readonly events: readonly StreamEvent[];
  /** How many came while the list was held. */
  readonly waiting: number;
  readonly link: (after: string) => string;
  /** Whether the list is read at this moment, and must not move. */
  readonly onHold: (held: boolean) => void;
}

/** The list of events. Only the rows in view are in the page, however many there are. */
export function EventTable({ events, waiting, link, onHold }: TableProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [unfolded, setUnfolded] = useState<ReadonlySet<string>>(new Set());
  const [active, setActive] = useState<string>();
  const [held, setHeld] = useState(false);
  const toFocus = useRef<string>(undefined);
  const toShow = useRef<{ top: number; bottom: number }>(undefined);

  useLayoutEffect(() => {
    const element = scroller.current!;
    const observer = new ResizeObserver(() => setView({ top: element.scrollTop, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useEffect(() => () => onHold(false), []);

  function hold(next: boolean): void {
    onHold(next);
    setHeld(next);
  }

  function letGo(): void {
    setUnfolded(new Set());
    setActive(undefined);
    hold(false);
    const element = scroller.current!;
    element.scrollTop = 0;
    element.focus({ preventScroll: true });
  }

  const at = (index: number): StreamEvent | undefined => events[events.length - 1 - index];
  /** The unfolded events that are there, by index, with where they begin and how high they are. */
  const open = useMemo(() => {
    const found: { index: number; height: number }[] = [];
    if (unfolded.size === 0) return found;
    for (let index = 0; index < events.length; index++) {
      const event = events[events.length - 1 - index]!;
      if (unfolded.has(event.cursor)) found.push({ index, height: heightOf(event) });
    }
    return found;
  }, [events, unfolded]);

  const topOf = (index: number): number =>
    open.reduce((top, { index: each, height }) => (each < index ? top + height : top), index * ROW);
  const indexAt = (y: number): number => {
    let before = 0;
    for (const { index, height } of open) {
      if (topOf(index + 1) > y) return Math.min(index, Math.floor((y - before) / ROW));
      before += height;
    }
    return Math.floor((y - before) / ROW);
  };

  const first = Math.max(0, indexAt(view.top) - BEYOND);
  const last = Math.min(events.length, indexAt(view.top + view.height) + 1 + BEYOND);
  const rows = Array.from({ length: Math.max(0, last - first) }, (_, offset) => first + offset);
  const reachable = rows.some((index) => at(index)?.cursor === active) ? active : at(first)?.cursor;

  function toggle(cursor: string): void {
    const index = events.length - 1 - events.findIndex((event) => event.cursor === cursor);
    if (!unfolded.has(cursor)) toShow.current = { top: topOf(index), bottom: topOf(index + 1) + heightOf(at(index)!) };
    hold(true);
    setActive(cursor);
    setUnfolded((before) => {
      const after = new Set(before);
      if (!after.delete(cursor)) after.add(cursor);
      return after;
    });
  }

  function clicked({ target }: MouseEvent): void {
    const row = target instanceof Element && target.closest<HTMLElement>(".row");
    if (!row || getSelection()?.isCollapsed === false) return;
    const button = row.querySelector<HTMLButtonElement>(".unfold")!;
    button.focus({ preventScroll: true });
    toggle(button.dataset["cursor"]!);
  }

  function pressed(event: KeyboardEvent): void {
    if (event.key === "Escape" && held) return letGo();
    const { target } = event;
    if (!(target instanceof HTMLElement) || !target.matches(".unfold")) return;
    const from = events.findIndex(({ cursor }) => cursor === target.dataset["cursor"]);
    const page = Math.max(1, Math.floor(view.height / ROW) - 1);
    const index = events.length - 1 - from;
    const to = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: events.length - 1, PageDown: index + page, PageUp: index - page }[
      event.key
    ];
    if (to === undefined || from < 0) return;
    event.preventDefault();
    go(Math.max(0, Math.min(events.length - 1, to)));
  }

  function go(index: number): void {
    const [element, top] = [scroller.current!, topOf(index)];
    const room = element.clientHeight - HEAD - ROW;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top > element.scrollTop + room) element.scrollTop = top - room;
    setView({ top: element.scrollTop, height: element.clientHeight });
    toFocus.current = at(index)!.cursor;
    setActive(toFocus.current);
  }

  // What was unfolded, or is to have the focus, is drawn only now.
  useEffect(() => {
    if (toShow.current) {
      const { top, bottom } = toShow.current;
      const element = scroller.current!;
      const room = element.clientHeight - HEAD;
      if (bottom > element.scrollTop + room) element.scrollTop = Math.min(top, bottom - room);
      toShow.current = undefined;
    }
    if (!toFocus.current) return;
    const button = scroller.current!.querySelector<HTMLElement>(`[data-cursor="${CSS.escape(toFocus.current)}"]`);
    button?.focus({ preventScroll: true });
    toFocus.current = undefined;
  });

  return (
    <div className="list">
      {held && (
        <button type="button" className="let-go" onClick={letGo}>
          {waiting > 0 ? `↑ ${waiting.toLocaleString()} new` : "↑ Follow the newest"}
        </button>
      )}
      <div
        ref={scroller}
        className="scroller"
        tabIndex={-1}
        onScroll={({ currentTarget }) => {
          if (currentTarget.scrollTop > 0 && !held) hold(true);
          setView({ top: currentTarget.scrollTop, height: currentTarget.clientHeight });
        }}
      >
        {/* A row that moves away under the pointer, or from under the focus, cannot be pressed. */}
        <div
          role="table"
          aria-label="Events, the newest first"
          aria-rowcount={events.length + 1}
          aria-colcount={COLUMNS.length + 1}
          onPointerDown={() => hold(true)}
          onFocus={() => hold(true)}
          onKeyDown={pressed}
        >
          <div role="row" aria-rowindex={1} className="head">
            <div role="columnheader">Time ({zone()})</div>
            {COLUMNS.map((name) => (
              <div role="columnheader" key={name}>
                {name}
              </div>
            ))}
          </div>
          <div role="rowgroup" className="body" style={{ height: topOf(events.length) }} onClick={clicked}>
            <div role="presentation" style={{ transform: `translateY(${topOf(first)}px)` }}>
              {rows.map((index) => {
                const event = at(index)!;
                const isOpen = unfolded.has(event.cursor);
                return (
                  <div role="presentation" key={event.cursor}>
                    <div role="row" className="row" aria-rowindex={index + 2}>
                      <Cells event={event} unfolded={isOpen} reachable={event.cursor === reachable} />
                    </div>
                    {isOpen && (
                      <div role="row">
                        <div role="cell" aria-colspan={COLUMNS.length + 1}>
                          <Details event={event} link={link} />
                        </div>
                      </div>
                    )}
                  </div>
                );
              })}
            </div>
          </div>
        </div>
      </div>
    </div>
  );
}
