import { useEffect, useRef } from "react";
import type { Choice } from "./api";

interface ChoicesProps {
  readonly label: string;
  readonly all: readonly (Choice & { readonly hint?: string | undefined })[];
  readonly chosen: readonly string[];
  readonly onChoose: (chosen: readonly string[]) => void;
}

/** Some of many, or all: none chosen means that it does not matter. */
export function Choices({ label, all, chosen, onChoose }: ChoicesProps) {
  const details = useRef<HTMLDetailsElement>(null);
  const known = new Set(all.map(({ id }) => id));
  // What a link names stays in sight, though nobody here knows it.
  const offered = [...all, ...chosen.filter((id) => !known.has(id)).map((id) => ({ id, name: id, hint: undefined }))];
  const names = offered.filter(({ id }) => chosen.includes(id)).map(({ name }) => name);

  useEffect(() => {
    function close(event: Event): void {
      const inside = event.target instanceof Node && details.current?.contains(event.target);
      if (!inside && details.current) details.current.open = false;
    }
    document.addEventListener("pointerdown", close);
    document.addEventListener("focusin", close);
    return () => {
      document.removeEventListener("pointerdown", close);
      document.removeEventListener("focusin", close);
    };
  }, []);

  return (
    <details
      ref={details}
      className="choices"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !details.current?.open) return;
        details.current.open = false;
        details.current.querySelector("summary")?.focus();
      }}
    >
      <summary className={chosen.length > 0 ? "control chosen" : "control"}>
        {label}: {names.length === 0 ? "all" : names.length === 1 ? names[0] : `${names.length} of ${offered.length}`}
      </summary>
      <fieldset>
        <legend className="unseen">{label}</legend>
        {offered.map(({ id, name, hint }) => (
          <label key={id} title={hint}>
            <input
              type="checkbox"
              checked={chosen.includes(id)}
              onChange={({ target }) => onChoose(target.checked ? [...chosen, id] : chosen.filter((each) => each !== id))}
            />
            {name}
          </label>
        ))}
        <button type="button" className="control" disabled={chosen.length === 0} onClick={() => onChoose([])}>
          All
        </button>
      </fieldset>
    </details>
  );
}
