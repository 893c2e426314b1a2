// A TCP proxy whose wires can be cut, as networks cut them: without a word to either end.
import net from "node:net";

/** Listens in front of the server at `address`; `connections` counts what clients have opened. */
export async function proxyTo(address) {
  const { hostname, port } = new URL(address);
  const wires = new Set();
  const proxy = { connections: 0 };
  const server = net.createServer((client) => {
    const upstream = net.connect(Number(port), hostname);
    proxy.connections += 1;
    for (const [end, other] of [
      [client, upstream],
      [upstream, client],
    ]) {
      wires.add(end);
      end.pipe(other);
      end.on("error", () => {}); // its close follows
      end.on("close", () => {
        wires.delete(end);
        other.destroy();
      });
    }
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  proxy.port = server.address().port;
  proxy.cut = () => wires.forEach((wire) => wire.destroy());
  proxy.close = () => {
    server.close();
    proxy.cut();
  };
  return proxy;
}
