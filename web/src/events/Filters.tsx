import type { Catalogue } from "./api";
import { Choices } from "./Choices";
import { EVERYTHING, type Filter, type Place } from "./filter";

interface FiltersProps {
  readonly catalogue: Catalogue | undefined;
  readonly place: Place;
  readonly onChange: (place: Place) => void;
}

/** What to show, and from where on. */
export function Filters({ catalogue, place, onChange }: FiltersProps) {
  const { filter, after } = place;
  const change = (changed: Partial<Filter>) => onChange({ ...place, filter: { ...filter, ...changed } });
  const businesses = catalogue?.businesses ?? [];
  const unknown = filter.businessId && !businesses.some(({ id }) => id === filter.businessId);
  const isFiltered = filter.types.length + filter.platforms.length > 0 || filter.businessId || filter.text;

  return (
    <div className="filters" role="search" aria-label="Filter">
      <Choices
        label="Type"
        all={(catalogue?.kinds ?? []).map(({ name, description }) => ({ id: name, name, hint: description ?? undefined }))}
        chosen={filter.types}
        onChoose={(types) => change({ types })}
      />
      <Choices
        label="Platform"
        all={catalogue?.platforms ?? []}
        chosen={filter.platforms}
        onChoose={(platforms) => change({ platforms })}
      />
      {(businesses.length > 0 || unknown) && (
        <select
          className={filter.businessId ? "control chosen" : "control"}
          aria-label="Business"
          value={filter.businessId ?? ""}
          onChange={({ target }) => change({ businessId: target.value || undefined })}
        >
          <option value="">Business: all</option>
          {unknown && <option value={filter.businessId}>{filter.businessId}</option>}
          {businesses.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      )}
      <input
        type="search"
        className="control search"
        aria-label="Text in the events"
        placeholder="Text…"
        value={filter.text}
        onChange={({ target }) => change({ text: target.value })}
      />
      {isFiltered && (
        <button type="button" className="plain" onClick={() => onChange({ ...place, filter: EVERYTHING })}>
          Clear filter
        </button>
      )}
      {after && (
        <span className="from-cursor" title={after}>
          From cursor <code>{after.slice(0, 8)}…</code>
          <button type="button" className="plain" onClick={() => onChange({ ...place, after: undefined })}>
            Newest instead
          </button>
        </span>
      )}
    </div>
  );
}
