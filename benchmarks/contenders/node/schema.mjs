// What both servers have in common: the schema, its in-process broadcast, and the routes of the benchmark.

import { randomBytes } from "node:crypto";

export const typeDefs = /* GraphQL */ `
  enum OrderStatus { PENDING CANCELLED }
  type OrderChanged { id: ID! at: String! from: OrderStatus! to: OrderStatus! }
  type Query { ready: Boolean! }
  type Subscription { orderChanged: OrderChanged! }
`;

/** Now, to the microsecond. */
function now() {
  const milliseconds = performance.timeOrigin + performance.now();
  const micros = String(Math.floor((milliseconds % 1_000) * 1_000)).padStart(6, "0");
  return `${new Date(milliseconds).toISOString().slice(0, 19)}.${micros}Z`;
}

/** The event, with an id and a moment of its own unless it has them already. */
function orderChanged({ id, at, from, to }) {
  return { id: id ?? `evt_${randomBytes(13).toString("hex")}`, at: at ?? now(), from, to };
}

/** Takes what is published, and frees memory before it is looked at; everything else is `next`'s. */
export function routes(publish, next) {
  return (request, response) => {
    const answer = (data) => {
      const body = JSON.stringify({ data });
      response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
      response.end(body);
    };
    if (request.url === "/settle") {
      globalThis.gc();
      answer(null);
    } else if (request.url === "/publish") {
      const chunks = [];
      request.on("data", (chunk) => chunks.push(chunk));
      request.on("end", () => {
        const event = orderChanged(JSON.parse(Buffer.concat(chunks)));
        publish(event);
        answer(event.id);
      });
    } else {
      next(request, response);
    }
  };
}

/** Listens until it is told to stop. */
export function listen(server) {
  process.on("SIGINT", () => process.exit(0));
  server.listen(Number(process.env.PORT), "127.0.0.1");
}
