import { createGraphiQLFetcher, type Fetcher, type FetcherParams, type Observable } from "@graphiql/toolkit";
import { getOperationAST, parse, type ExecutionResult } from "graphql";
import { createClient } from "graphql-ws";
import { httpUrl, webSocketUrl } from "./config";
import { freshSession, renewSession } from "./renewal";
import { currentState, sessionHeaders } from "./session";

type Headers = Record<string, string>;

interface Observer {
  next(result: ExecutionResult): void;
  error(error: Error): void;
  complete(): void;
}

const ACCEPT = "application/graphql-response+json, application/json, multipart/mixed;q=0.9";

/** Whether the headers editor says who asks: then the session is left out of it. */
function nameSomebody(headers: Headers): boolean {
  return Object.keys(headers).some((name) => /^(authorization|x-api-key)$/i.test(name));
}

/** The headers of the headers editor, and the session's where they name nobody. */
async function withSession(headers: Headers): Promise<Headers> {
  if (nameSomebody(headers)) return headers;
  await freshSession();
  return { ...headers, ...sessionHeaders() };
}

/** Renews the session, or ends it, when the server refuses it. */
function noteRefusal({ errors }: ExecutionResult, headers: Headers): void {
  const refused = errors?.some(({ extensions }) => extensions?.["code"] === "UNAUTHENTICATED");
  if (refused && !nameSomebody(headers) && currentState().kind === "signed-in") void renewSession();
}

/** `fetch`, where an answer that is no GraphQL (a proxy's page, a plain 413) becomes a readable GraphQL error. */
const fetchGraphQL: typeof fetch = async (input, init) => {
  const given = init?.headers as Headers;
  const response = await fetch(input, { ...init, headers: await withSession(given) });
  const type = response.headers.get("content-type") ?? "";
  if (type.startsWith("multipart/")) return response;
  if (!/^application\/(graphql-response\+)?json\b/.test(type)) {
    const message = `HTTP ${response.status}: ${(await response.text()).trim().slice(0, 500) || response.statusText}`;
    return Response.json({ errors: [{ message }] });
  }
  noteRefusal((await response.clone().json()) as ExecutionResult, given);
  return response;
};

const overHttp = createGraphiQLFetcher({ url: httpUrl, headers: { accept: ACCEPT }, fetch: fetchGraphQL });

/** One socket for one subscription, so that its headers are its own. It comes with the cookies of its moment. */
function overWebSocket({ query, operationName, variables }: FetcherParams, headers: Headers) {
  const subscribe = (observer: Observer) => {
    const client = createClient({ url: webSocketUrl, connectionParams: () => withSession(headers) });
    const payload = { query, operationName: operationName ?? null, variables: variables as Record<string, unknown> };
    const stop = client.subscribe(payload, {
      next: (result) => observer.next(result as ExecutionResult),
      complete: () => observer.complete(),
      error(error) {
        if (!Array.isArray(error)) return observer.error(socketProblem(error, headers));
        noteRefusal({ errors: error }, headers);
        observer.next({ errors: error });
        observer.complete();
      },
    });
    return {
      unsubscribe() {
        stop();
        void client.dispose();
      },
    };
  };
  // The type also lists the forms with three functions; GraphiQL calls only this one.
  return { subscribe } as Observable<ExecutionResult>;
}

function socketProblem(error: unknown, headers: Headers): Error {
  if (!(error instanceof CloseEvent)) return error instanceof Error ? error : new Error("The connection failed.");
  if (error.code === 4401 || error.code === 4403) {
    if (!nameSomebody(headers) && currentState().kind === "signed-in") void renewSession();
    return new Error(`The server refused the connection: ${error.reason || "sign in again."}`);
  }
  return new Error(`The connection closed with code ${error.code}. ${error.reason}`.trim());
}

function isSubscription({ query, operationName }: FetcherParams): boolean {
  try {
    return getOperationAST(parse(query), operationName)?.operation === "subscription";
  } catch {
    return false; // The server says what is wrong with the text.
  }
}

/** Without the name of an operation that the text no longer has: GraphiQL learns of an edit a moment after it. */
function upToDate({ operationName, ...params }: FetcherParams): FetcherParams {
  return operationName && params.query.includes(operationName) ? { ...params, operationName } : params;
}

/** Subscriptions go over a WebSocket, everything else over HTTP POST; both to the address of this page. */
export const fetcher: Fetcher = (asked, options) => {
  const params = upToDate(asked);
  const headers = (options?.headers ?? {}) as Headers;
  if (isSubscription(params)) return overWebSocket(params, headers);
  return overHttp(params, { ...options, headers });
};
