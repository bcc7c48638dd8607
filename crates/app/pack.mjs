// Compresses the files of the built page and writes the table that `src/page.rs` includes.
//   node pack.mjs DIST OUT
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const [dist, out] = process.argv.slice(2);

const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.webmanifest': 'application/manifest+json',
  '.webp': 'image/webp',
  '.woff2': 'font/woff2',
};
/** Names that Vite made from the content. */
const HASHED = /^\/assets\/.*-[\w-]{8}\.\w+$/;
/** Compressed already. */
const PACKED = new Set(['.ico', '.png', '.webp', '.woff2']);

const packed = join(out, 'packed');
rmSync(packed, { recursive: true, force: true });
mkdirSync(packed, { recursive: true });

const files = readdirSync(dist, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name))
  .sort();

const keep = (bytes) => {
  const file = join(packed, createHash('sha256').update(bytes).digest('hex').slice(0, 32));
  writeFileSync(file, bytes);
  return `include_bytes!(${JSON.stringify(file)})`;
};

const rows = files.map((file) => {
  const extension = extname(file);
  const type = TYPES[extension];
  if (!type) throw new Error(`${file}: which content type has ${extension}? Enter it in pack.mjs.`);
  const path = '/' + relative(dist, file).split(sep).join('/');
  const plain = readFileSync(file);
  const smaller = (bytes) => (bytes.length < plain.length ? `Some(${keep(bytes)})` : 'None');
  const params = { [constants.BROTLI_PARAM_SIZE_HINT]: plain.length };
  const gzip = PACKED.has(extension) ? 'None' : smaller(gzipSync(plain, { level: 9 }));
  const brotli = PACKED.has(extension) ? 'None' : smaller(brotliCompressSync(plain, { params }));
  return `    Asset { path: ${JSON.stringify(path)}, content_type: ${JSON.stringify(type)}, hashed: ${HASHED.test(path)}, plain: ${keep(plain)}, gzip: ${gzip}, brotli: ${brotli} },`;
});

writeFileSync(
  join(out, 'assets.rs'),
  `const ASSETS: &[Asset] = &[\n${rows.join('\n')}\n];\nconst MISSING: Option<&str> = None;\n`,
);
