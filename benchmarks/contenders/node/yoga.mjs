// graphql-yoga with graphql-ws, as its documentation shows them together.

import { createServer } from "node:http";

import { useServer } from "graphql-ws/use/ws";
import { createPubSub, createSchema, createYoga } from "graphql-yoga";
import { WebSocketServer } from "ws";

import { listen, routes, typeDefs } from "./schema.mjs";

const pubsub = createPubSub();
const resolvers = {
  Subscription: {
    orderChanged: { subscribe: () => pubsub.subscribe("ORDER_CHANGED"), resolve: (event) => event },
  },
};
const yoga = createYoga({ schema: createSchema({ typeDefs, resolvers }), logging: "error" });
const server = createServer(routes((event) => pubsub.publish("ORDER_CHANGED", event), yoga));
useServer(
  {
    execute: (args) => args.rootValue.execute(args),
    subscribe: (args) => args.rootValue.subscribe(args),
    onSubscribe: async (context, _id, params) => {
      const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
        ...context,
        req: context.extra.request,
        socket: context.extra.socket,
        params,
      });
      const args = {
        schema,
        operationName: params.operationName,
        document: parse(params.query),
        variableValues: params.variables,
        contextValue: await contextFactory(),
        rootValue: { execute, subscribe },
      };
      const errors = validate(args.schema, args.document);
      return errors.length ? errors : args;
    },
  },
  new WebSocketServer({ server, path: yoga.graphqlEndpoint }),
);
listen(server);
