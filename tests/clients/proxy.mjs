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
  let cut = 0;
  /** Cuts all wires; false when there is none that has not been cut already, for clients come back in their own time. */
  proxy.cut = () => {
    if (proxy.connections === cut) return false;
    cut = proxy.connections;
    wires.forEach((wire) => wire.destroy());
    return true;
  };
  proxy.close = () => {
    server.close();
    wires.forEach((wire) => wire.destroy());
  };
  return proxy;
}
