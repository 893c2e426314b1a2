/** What the reader wants to see. The server applies all of it but `text`, which is looked for in what has come. */
export interface Filter {
  readonly types: readonly string[];
  readonly platforms: readonly string[];
  readonly businessId: string | undefined;
  readonly text: string;
}

export const EVERYTHING: Filter = { types: [], platforms: [], businessId: undefined, text: "" };

/** Where the page begins: with the newest events, or right after the one that a link names. */
export interface Place {
  readonly filter: Filter;
  readonly after: string | undefined;
}

/** The place that the address of the page names. */
export function readPlace(search = location.search): Place {
  const given = new URLSearchParams(search);
  const filter = {
    types: given.getAll("type").filter(Boolean),
    platforms: given.getAll("platform").filter(Boolean),
    businessId: given.get("business") || undefined,
    text: given.get("text") ?? "",
  };
  return { filter, after: given.get("after") || undefined };
}

/** The address that reopens the page at a place. */
export function addressOf({ filter, after }: Place): string {
  const search = new URLSearchParams();
  for (const type of filter.types) search.append("type", type);
  for (const platform of filter.platforms) search.append("platform", platform);
  if (filter.businessId) search.set("business", filter.businessId);
  if (filter.text) search.set("text", filter.text);
  if (after) search.set("after", after);
  return `${location.origin}${location.pathname}${search.size > 0 ? `?${search}` : ""}`;
}

/** The server's part of a filter, as an `EventFilter`; `null` when it wants everything. */
export function eventFilter({ types, platforms, businessId }: Filter): object | null {
  const chosen = {
    ...(types.length > 0 && { types }),
    ...(platforms.length > 0 && { platforms }),
    ...(businessId && { businessId }),
  };
  return Object.keys(chosen).length > 0 ? chosen : null;
}
