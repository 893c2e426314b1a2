import { useEffect, useState } from "react";
import { copy } from "./copy";

const SAID_MS = 1_600;

/** A button that copies a text, and says so. */
export function CopyButton({ label, text }: { label: string; text: () => string }) {
  const [said, setSaid] = useState<string>();

  useEffect(() => {
    if (!said) return;
    const timer = setTimeout(() => setSaid(undefined), SAID_MS);
    return () => clearTimeout(timer);
  }, [said]);

  return (
    <button
      type="button"
      className="copy"
      onClick={() =>
        void copy(text()).then(
          () => setSaid("Copied"),
          () => setSaid("Not copied"),
        )
      }
    >
      <span aria-hidden={said !== undefined}>{label}</span>
      <span role="status" className="said">
        {said}
      </span>
    </button>
  );
}
