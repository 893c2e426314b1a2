import type { GraphQLFormattedError } from "graphql";
import { Refusal } from "../graphql";

/** Why the stream does not go on, and what the reader can do. */
export interface Problem {
  readonly title: string;
  readonly message: string;
  readonly action: { readonly label: string; readonly after: string | undefined } | undefined;
}

/** What to do about an ending of the stream. */
export type Ending =
  | { readonly kind: "again"; readonly why: string }
  | { readonly kind: "renew" }
  | { readonly kind: "stop"; readonly problem: Problem };

const NEWEST = { label: "Show the newest events", after: undefined };

/** What follows from errors that the server has told, in answer to a cursor if one was sent. */
export function endingOf([error]: readonly GraphQLFormattedError[], after?: string): Ending {
  const message = error?.message ?? "The server did not say why.";
  const { code, retryable, oldestCursor } = error?.extensions ?? {};
  if (typeof oldestCursor === "string") {
    return stop("Some of these events are gone", "The log keeps events for a while only, and this place in it is older.", {
      label: "Go on from the oldest that is kept",
      after: oldestCursor,
    });
  }
  if (code === "UNAUTHENTICATED") return { kind: "renew" };
  if (code === "FORBIDDEN") {
    const needed = scopesOf(error?.extensions?.["requiredScopes"]);
    return stop(
      "You may not see these events",
      `${message} Ask an administrator of your organization for ${needed || "the right events:read"}, ` +
        "or choose other types of events.",
    );
  }
  if (retryable === true || code === "RATE_LIMITED" || code === "INTERNAL" || code === "TIMEOUT") {
    return { kind: "again", why: message };
  }
  if (code === "GRAPHQL_VALIDATION_FAILED") {
    return stop("This page does not fit the server", `Load it again; the server was renewed, perhaps. It says: ${message}`);
  }
  return stop("The server refuses", message, after ? NEWEST : undefined);
}

const CLOSINGS: Readonly<Record<number, string>> = {
  1001: "The server restarts.",
  1013: "Events came faster than this browser took them.",
};

/** What follows from the end of a socket. */
export function endingOfSocket(end: unknown): Ending {
  if (!(end instanceof CloseEvent)) return { kind: "again", why: "The server cannot be reached." };
  if (end.code === 4401 || end.code === 4403) return { kind: "renew" };
  if (end.code >= 4400 && end.code < 4500 && end.code !== 4408) {
    return stop("This page does not fit the server", `Load it again. The connection closed with ${end.code}: ${end.reason}`);
  }
  return { kind: "again", why: CLOSINGS[end.code] ?? "The connection was lost." };
}

/** What follows from an answer that did not come, or was a refusal. */
export function endingOfRefusal(error: unknown): Ending {
  if (!(error instanceof Refusal) || !error.code) return { kind: "again", why: String((error as Error).message ?? error) };
  return endingOf([{ message: error.message, extensions: { code: error.code } }]);
}

function scopesOf(groups: unknown): string {
  if (!Array.isArray(groups)) return "";
  return groups.map((group) => (Array.isArray(group) ? group.join(" and ") : String(group))).join(", or ");
}

function stop(title: string, message: string, action?: Problem["action"]): Ending {
  return { kind: "stop", problem: { title, message, action } };
}
