/** A demo account that the page may sign in with one click. The gateway only names them in demo mode. */
export interface DemoLogin {
  readonly label: string;
  readonly email: string;
  readonly password: string;
}

/** What the gateway tells the page through the JSON block of index.html. */
export interface PageConfig {
  readonly demoLogins?: readonly DemoLogin[];
}

export function readConfig(): PageConfig {
  return JSON.parse(document.getElementById("page-config")?.textContent || "{}") as PageConfig;
}

/** The API. GraphiQL has the same address; the other pages have addresses of their own. */
export const httpUrl = `${location.origin}/graphql`;
export const webSocketUrl = httpUrl.replace(/^http/, "ws");
