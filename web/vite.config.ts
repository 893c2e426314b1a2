import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

/** Writes `name.gz` beside each file that shrinks, for the gateway to send as it is. */
function gzipFiles(): Plugin {
  return {
    name: "gzip-files",
    writeBundle({ dir = "." }, bundle) {
      for (const fileName of Object.keys(bundle)) {
        if (!/\.(js|css|ttf)$/.test(fileName)) continue;
        const path = join(dir, fileName);
        const content = readFileSync(path);
        const packed = gzipSync(content, { level: 9 });
        if (packed.length < content.length) writeFileSync(`${path}.gz`, packed);
      }
    },
  };
}

export default defineConfig({
  // The gateway serves the built files below its GraphQL address.
  base: "/graphql/",
  plugins: [gzipFiles()],
  build: {
    // Fonts and images stay files with a hash in their name, cached for good.
    assetsInlineLimit: 0,
    // Monaco is one large editor, loaded after the page shows.
    chunkSizeWarningLimit: 4096,
    reportCompressedSize: false,
    rolldownOptions: {
      // GraphiQL, the page of live events, and the small page that links in mails lead to.
      input: ["index.html", "events.html", "account.html"],
      onLog(level, log, handle) {
        // "use client" is for server rendering, which this page has none of.
        if (log.code !== "MODULE_LEVEL_DIRECTIVE") handle(level, log);
      },
    },
  },
});
