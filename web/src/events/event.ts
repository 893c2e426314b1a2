/** What every event tells of itself; the rest depends on its type. */
export interface StreamEvent {
  readonly __typename: string;
  readonly id: string;
  readonly cursor: string;
  /** RFC 3339, in UTC. */
  readonly at: string;
  readonly platform: { readonly key: string; readonly name: string } | null;
  readonly business: { readonly id: string; readonly name: string } | null;
  readonly [field: string]: unknown;
}
