// graphql-ws on ws, as its documentation shows it, with the PubSub of graphql-subscriptions.

import { createServer } from "node:http";

import { buildSchema } from "graphql";
import { PubSub } from "graphql-subscriptions";
import { useServer } from "graphql-ws/use/ws";
import { WebSocketServer } from "ws";

import { listen, routes, typeDefs } from "./schema.mjs";

const pubsub = new PubSub();
const server = createServer(
  routes(
    (event) => pubsub.publish("ORDER_CHANGED", { orderChanged: event }),
    (_, response) => response.writeHead(404).end(),
  ),
);
const roots = { subscription: { orderChanged: () => pubsub.asyncIterableIterator("ORDER_CHANGED") } };
useServer({ schema: buildSchema(typeDefs), roots }, new WebSocketServer({ server, path: "/graphql" }));
listen(server);
