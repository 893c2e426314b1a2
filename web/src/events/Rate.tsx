import { useEffect, useState } from "react";
import { SECONDS, type Feed } from "./feed";

const LATELY = 5;
const HEIGHT = 24;
const STEP = 2;

/** How many events come in a second, and a picture of the last minute. */
export function Rate({ feed }: { feed: Feed }) {
  const [rates, setRates] = useState<readonly number[]>(() => feed.rates());

  useEffect(() => {
    const timer = setInterval(() => setRates(feed.rates()), 1_000);
    return () => clearInterval(timer);
  }, [feed]);

  const rate = rates.slice(-LATELY).reduce((sum, each) => sum + each, 0) / LATELY;
  const most = Math.max(4, ...rates);
  const bars = rates.map((each, index) => {
    const height = each === 0 ? 0 : Math.max(1.5, (each / most) * HEIGHT);
    return `M${index * STEP + 0.75} ${HEIGHT}v${-height.toFixed(1)}`;
  });
  return (
    <span className="rate">
      <svg viewBox={`0 0 ${SECONDS * STEP} ${HEIGHT}`} aria-hidden="true">
        <path d={bars.join("")} />
      </svg>
      <span className="figure">{rate < 10 ? rate.toFixed(1) : Math.round(rate).toLocaleString()}</span> events/s
    </span>
  );
}
