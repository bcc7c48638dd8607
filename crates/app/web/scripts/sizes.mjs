// Prints what the built page weighs compressed, and fails when it is more than it may be.
import { readdirSync, readFileSync } from 'node:fs';
import { brotliCompressSync, gzipSync } from 'node:zlib';

/** What the page may weigh without emoji data, gzip (issue 5). */
const LIMIT = 200_000;
const dist = new URL('../dist/', import.meta.url);
const names = readdirSync(dist, { recursive: true }).filter((name) => /\.(html|js|css|svg|json)$/.test(name));
let total = 0;
for (const name of names.sort()) {
  const bytes = readFileSync(new URL(name, dist));
  const gzip = gzipSync(bytes, { level: 9 }).length;
  const brotli = brotliCompressSync(bytes).length;
  const counted = !/emoji-[^/]*\.json$/.test(name);
  if (counted) total += gzip;
  console.log(`${name.padEnd(44)} ${String(bytes.length).padStart(8)}  gzip ${String(gzip).padStart(7)}  brotli ${String(brotli).padStart(7)}${counted ? '' : '  (not counted)'}`);
}
console.log(`page, compressed (gzip, without emoji data): ${total} of ${LIMIT} bytes`);
if (total > LIMIT) process.exit(1);
