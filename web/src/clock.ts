// How far the server's clock is ahead of this machine's. A clock that is an hour fast would have every token ended.
let ahead = 0;

/** Compares the clocks by an answer that has just come. */
export function compareClocks({ headers }: Response): void {
  const told = Date.parse(headers.get("date") ?? "");
  if (!Number.isNaN(told)) ahead = told - Date.now();
}

/** How long it is until a moment of the server's, RFC 3339; milliseconds, negative when it is past. */
export function untilMoment(moment: string): number {
  return Date.parse(moment) - Date.now() - ahead;
}
