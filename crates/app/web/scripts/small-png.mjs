// Makes a screenshot small: the colours it uses most, 256 of them, as a palette. Screens have few colours, and the steps
// of smoothed letters lie close to one of them.
import { crc32, deflateSync, inflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const COLOURS = 256;

function* chunks(png) {
  for (let at = 8; at < png.length; ) {
    const size = png.readUInt32BE(at);
    yield { type: png.toString('latin1', at + 4, at + 8), data: png.subarray(at + 8, at + 8 + size) };
    at += size + 12;
  }
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const size = Buffer.alloc(4);
  size.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([size, body, sum]);
}

/** Takes the filters off the rows of an image (PNG, 9.2). */
function unfiltered(rows, stride, height, step) {
  const out = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (stride + 1)];
    for (let x = 0; x < stride; x++) {
      const left = x >= step ? out[y * stride + x - step] : 0;
      const up = y > 0 ? out[(y - 1) * stride + x] : 0;
      const corner = y > 0 && x >= step ? out[(y - 1) * stride + x - step] : 0;
      const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
      const paeth = a <= b && a <= c ? left : b <= c ? up : corner;
      out[y * stride + x] = rows[y * (stride + 1) + 1 + x] + [0, left, up, (left + up) >> 1, paeth][filter];
    }
  }
  return out;
}

/** The same picture with a palette. Takes what Chromium makes: eight bits a channel, RGB or RGBA, not interlaced. */
export function smallPng(png) {
  const all = [...chunks(png)];
  const head = all.find(({ type }) => type === 'IHDR').data;
  const [width, height, step] = [head.readUInt32BE(0), head.readUInt32BE(4), { 2: 3, 6: 4 }[head[9]]];
  if (!step || head[8] !== 8 || head[12] !== 0) throw new Error('not a picture as Chromium makes them');
  const rows = inflateSync(Buffer.concat(all.filter(({ type }) => type === 'IDAT').map(({ data }) => data)));
  const pixels = unfiltered(rows, width * step, height, step);

  const counted = new Map();
  const colour = (at) => (pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2];
  for (let at = 0; at < pixels.length; at += step) counted.set(colour(at), (counted.get(colour(at)) ?? 0) + 1);
  const kept = [...counted].sort((a, b) => b[1] - a[1]).slice(0, COLOURS).map(([value]) => value);
  const nearest = new Map(kept.map((value, i) => [value, i]));
  const parts = (value) => [value >> 16, (value >> 8) & 255, value & 255];
  const place = (value) => {
    let found = nearest.get(value);
    if (found === undefined) {
      const [r, g, b] = parts(value);
      let least = Infinity;
      kept.forEach((other, i) => {
        const [r2, g2, b2] = parts(other);
        const far = (r - r2) ** 2 + (g - g2) ** 2 + (b - b2) ** 2;
        if (far < least) [least, found] = [far, i];
      });
      nearest.set(value, found);
    }
    return found;
  };
  const out = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) out[y * (width + 1) + 1 + x] = place(colour((y * width + x) * step));

  const newHead = Buffer.from(head);
  newHead[9] = 3;
  const palette = Buffer.from(kept.flatMap(parts));
  return Buffer.concat([SIGNATURE, chunk('IHDR', newHead), chunk('PLTE', palette), chunk('IDAT', deflateSync(out, { level: 9, memLevel: 9 })), chunk('IEND', Buffer.alloc(0))]);
}
