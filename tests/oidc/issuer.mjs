// An oauth2-mock-server whose keys are given to it, and which can be stopped, started and asked what it was asked.
// Usage: node issuer.mjs PORT CONTROL_PORT
import { createServer } from 'node:http';
import { OAuth2Issuer, OAuth2Service } from 'oauth2-mock-server';

const [port, controlPort] = process.argv.slice(2).map(Number);
let server = null;
let seen = {};

const listen = (handler, where) =>
  new Promise((resolve, reject) => {
    const made = createServer(handler);
    made.on('error', reject).listen(where, '127.0.0.1', () => resolve(made));
  });

async function stop() {
  if (server === null) return;
  const closing = server;
  server = null;
  await new Promise((resolve) => {
    closing.close(resolve);
    closing.closeAllConnections();
  });
}

async function serve({ url, keys, userinfo, userinfoStatus }) {
  await stop();
  seen = {};
  const issuer = new OAuth2Issuer();
  issuer.url = url;
  for (const key of keys) await issuer.keys.add(key);
  const service = new OAuth2Service(issuer);
  service.on('beforeTokenSigning', (token, request) => {
    Object.assign(token.payload, JSON.parse(request.body.claims));
  });
  service.on('beforeUserinfo', (answer) => {
    answer.body = userinfo;
    answer.statusCode = userinfoStatus;
  });
  server = await listen((request, response) => {
    const asked = new URL(request.url, 'http://localhost');
    seen[asked.pathname] = (seen[asked.pathname] ?? 0) + 1;
    // Keys sign in turns: skip those that are not meant.
    const kid = asked.searchParams.get('kid');
    for (let turn = 0; kid !== null && turn < keys.length && issuer.keys.toJSON()[0].kid !== kid; turn += 1) {
      issuer.keys.get();
    }
    service.requestHandler(request, response);
  }, port);
}

await listen(async (request, response) => {
  let text = '';
  for await (const chunk of request) text += chunk;
  if (request.url === '/serve') await serve(JSON.parse(text));
  if (request.url === '/stop') await stop();
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(seen));
}, controlPort);
process.on('SIGINT', () => process.exit(0));
