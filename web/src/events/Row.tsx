import { memo } from "react";
import type { StreamEvent } from "./event";
import { readingOf } from "./reading";

interface RowProps {
  readonly event: StreamEvent;
  readonly unfolded: boolean;
  /** Whether the tab key comes here: one row of the list at a time. */
  readonly reachable: boolean;
}

/** The cells of one event. They are drawn once: what they tell never changes. */
export const Cells = memo(function Cells({ event, unfolded, reachable }: RowProps) {
  const { time, day, utc, subject, change, rest, hue } = readingOf(event);
  return (
    <>
      <div role="cell" className="cell-time">
        <button
          type="button"
          className="unfold"
          aria-expanded={unfolded}
          aria-label={`Details: ${event.__typename} ${subject}, ${day ?? ""} ${time}`}
          tabIndex={reachable ? 0 : -1}
          data-cursor={event.cursor}
        />
        <time dateTime={utc} title={`${utc} (UTC)`}>
          {day && <span className="day">{day}</span>} {time}
        </time>
      </div>
      <div role="cell" className="cell-type">
        <span className={`type hue-${hue}`}>{event.__typename}</span>
      </div>
      <div role="cell" className="cell-what">
        {subject && <span className="subject">{subject}</span>}
        {change && (
          <span className="change">
            {change.from && <span className="from">{change.from}</span>}
            <span aria-label="to"> → </span>
            <span className="to">{change.to}</span>
          </span>
        )}
        {rest && <span className="rest">{rest}</span>}
      </div>
      <div role="cell" className="cell-business">
        {event.business?.name}
      </div>
      <div role="cell" className="cell-platform">
        {event.platform?.name}
      </div>
      <div role="cell" className="cell-cursor" title={event.cursor}>
        {event.cursor}
      </div>
    </>
  );
});
