import { httpUrl } from "../config";
import { ask, Refusal } from "../graphql";
import { freshSession, renewSession } from "../renewal";
import { sessionHeaders } from "../session";
import type { StreamEvent } from "./event";
import { EVERYTHING, eventFilter, type Filter } from "./filter";
import { KINDS, pointedQuery, selectionOf, TOLD, type EventKind, type Pointed, type Selection } from "./selection";

/** How many events the page opens with. */
const AT_ONCE = 50;
const MOST_BUSINESSES = 100;

export interface Choice {
  readonly id: string;
  readonly name: string;
}

/** What one may filter by, and what to ask of events. */
export interface Catalogue {
  readonly kinds: readonly EventKind[];
  readonly platforms: readonly Choice[];
  readonly businesses: readonly Choice[];
  readonly selection: Selection;
}

interface CatalogueData {
  readonly event: { readonly possibleTypes: readonly EventKind[] | null } | null;
  readonly platforms: readonly { readonly key: string; readonly name: string }[] | null;
  readonly businesses: { readonly nodes: readonly Choice[] } | null;
}

interface EventsData {
  readonly events: {
    readonly edges: readonly { readonly cursor: string; readonly node: StreamEvent }[];
    /** Where an empty page lies, too: who goes on from there misses nothing. */
    readonly pageInfo: { readonly endCursor: string };
  } | null;
}

/** What the schema and the organization offer. Throws `Refusal`. */
export async function loadCatalogue(): Promise<Catalogue> {
  const query = `query Catalogue {
    ${KINDS} platforms { key name } businesses(first: ${MOST_BUSINESSES}) { nodes { id name } }
  } ${TOLD}`;
  const { event, platforms, businesses } = await asked<CatalogueData>(query, {});
  const kinds = [...(event?.possibleTypes ?? [])].sort((one, other) => one.name.localeCompare(other.name));
  const pointed = pointedQuery(kinds);
  return {
    kinds,
    platforms: (platforms ?? []).map(({ key, name }) => ({ id: key, name })),
    businesses: businesses?.nodes ?? [],
    selection: selectionOf(kinds, pointed ? await asked<Pointed>(pointed, {}) : {}),
  };
}

/** The newest events that fit, oldest first, and the cursor to go on from so that none is missed. Throws `Refusal`. */
export async function newestEvents(
  filter: Filter,
  { text, restored }: Selection,
): Promise<{ events: StreamEvent[]; after: string }> {
  const query = `query Newest($filter: EventFilter) {
    events(filter: $filter, last: ${AT_ONCE}) { edges { node { ${text} } } pageInfo { endCursor } }
  }`;
  let { edges, pageInfo } = await eventsOf(query, filter);
  let after = pageInfo.endCursor;
  if (edges.length === 0 && eventFilter(filter)) {
    // An empty page lies at the beginning of the log. Begin at its end instead, and look once more for what came between.
    after = (await eventsOf(HEAD, EVERYTHING)).pageInfo.endCursor;
    ({ edges, pageInfo } = await eventsOf(query, filter));
    if (edges.length > 0) after = pageInfo.endCursor;
  }
  return { events: edges.map(({ node }) => restored(node)), after };
}

/** The cursor of the newest event that fits; `undefined` when there is none. Throws `Refusal`. */
export async function newestCursor(filter: Filter): Promise<string | undefined> {
  return (await eventsOf(HEAD, filter)).edges.at(-1)?.cursor;
}

const HEAD = `query Head($filter: EventFilter) {
  events(filter: $filter, last: 1) { edges { cursor } pageInfo { endCursor } }
}`;

async function eventsOf(query: string, filter: Filter): Promise<NonNullable<EventsData["events"]>> {
  const { events } = await asked<EventsData>(query, { filter: eventFilter(filter) });
  if (!events) throw new Refusal("The server does not tell its events.");
  return events;
}

async function asked<Data extends object>(query: string, variables: object): Promise<Data> {
  await freshSession();
  try {
    return await ask<Data>(httpUrl, query, variables, { headers: sessionHeaders() });
  } catch (error) {
    if (error instanceof Refusal && error.code === "UNAUTHENTICATED") await renewSession();
    throw error;
  }
}
