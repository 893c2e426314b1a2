/** The pages that links in mails lead to: the last part of the address. The gateway serves no other. */
export type PageName = "confirm" | "reset-password" | "accept-invitation" | "link-identity";

export interface Link {
  readonly page: PageName;
  /** Absent when the link was cut off, or the page loaded again. */
  readonly token: string | undefined;
}

/** The link that led here. Its token leaves the address bar at once, and with it the history of the browser. */
export function takeLink(): Link {
  const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? undefined;
  history.replaceState(null, "", location.pathname);
  return { page: location.pathname.replace(/\/$/, "").split("/").at(-1) as PageName, token };
}
