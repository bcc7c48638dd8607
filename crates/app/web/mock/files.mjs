// Files of the mock: what is handed over is kept in memory, what is shown of made-up messages is made up when it is asked for.
import { createHash, randomBytes } from 'node:crypto';
import { crc32, deflateSync } from 'node:zlib';

export const LARGEST = 1_041_204_192;
export const MOST = 32;

export function kindOf(type = '', voice = false) {
  if (voice) return 'voice';
  if (/^image\/(?!svg)/.test(type)) return 'picture';
  if (type.startsWith('video/')) return 'video';
  return type.startsWith('audio/') ? 'audio' : 'file';
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const head = Buffer.alloc(4);
  const foot = Buffer.alloc(4);
  head.writeUInt32BE(data.length);
  foot.writeUInt32BE(crc32(body));
  return Buffer.concat([head, body, foot]);
}

/** A landscape of two colours that follow from a text. */
export function picture(seed, width, height) {
  const [a, b, c, d, e, f, at] = createHash('sha1').update(seed).digest();
  const rows = Buffer.alloc((width * 3 + 1) * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const hill = height * (0.55 + 0.14 * Math.sin((x / width) * 5 + at) + 0.06 * Math.sin((x / width) * 17 + a));
      const part = y < hill ? y / height : 0.75 + (0.25 * (y - hill)) / height;
      const to = y * (width * 3 + 1) + 1 + x * 3;
      [[a, d], [b, e], [c, f]].forEach(([from, till], i) => (rows[to + i] = Math.round(from + (till - from) * part)));
    }
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), chunk('IHDR', head), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

/** Some seconds of a melody, as a WAV file. */
export function melody(seconds = 4, rate = 16_000) {
  const count = seconds * rate;
  const wav = Buffer.alloc(44 + count * 2);
  wav.write('RIFF', 0, 'latin1');
  wav.writeUInt32LE(36 + count * 2, 4);
  wav.write('WAVEfmt ', 8, 'latin1');
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20);
  wav.writeUInt16LE(1, 22);
  wav.writeUInt32LE(rate, 24);
  wav.writeUInt32LE(rate * 2, 28);
  wav.writeUInt16LE(2, 32);
  wav.writeUInt16LE(16, 34);
  wav.write('data', 36, 'latin1');
  wav.writeUInt32LE(count * 2, 40);
  for (let n = 0; n < count; n++) {
    const beat = Math.floor((n / rate) * 4);
    const loud = 0.5 * Math.abs(Math.sin((n / rate) * 4 * Math.PI)) * (0.3 + ((beat * 37) % 10) / 14);
    wav.writeInt16LE(Math.round(32_000 * loud * Math.sin((n / rate) * 2 * Math.PI * (220 + ((beat * 53) % 7) * 40))), 44 + n * 2);
  }
  return wav;
}

/** Answers `/api/files/…` for the pages that are connected. */
export async function serveFiles(mock, request, response, url, headers) {
  const [token, ...rest] = url.pathname.slice('/api/files/'.length).split('/');
  const page = [...mock.connected].find((one) => one.token === token);
  const refuse = (status, kind) => response.writeHead(status, { ...headers, 'content-type': 'application/json' }).end(JSON.stringify({ kind, error: kind }));
  if (!page?.world) return refuse(401, 'not_admitted');
  if (rest[0] === 'upload' && request.method === 'POST') {
    const size = Number(request.headers['content-length']);
    if (!mock.secrets.has(request.headers.authorization?.slice(7))) return refuse(403, 'not_admitted');
    if (size > LARGEST) return refuse(413, 'too_large');
    const parts = [];
    try {
      for await (const part of request) {
        parts.push(part);
        await mock.gate;
      }
    } catch {
      // The page has thought better of it.
      return;
    }
    const bytes = Buffer.concat(parts);
    if (mock.refuseUploads) return refuse(507, mock.refuseUploads);
    const id = url.searchParams.get('id') ?? randomBytes(16).toString('hex');
    const content_type = request.headers['content-type'] ?? null;
    const voice = url.searchParams.get('voice') === '1';
    const file = { id, name: url.searchParams.get('name'), size: bytes.length, content_type, kind: kindOf(content_type ?? '', voice), bytes, voice };
    const tray = page.trays.get(url.searchParams.get('chat')) ?? [];
    page.trays.set(url.searchParams.get('chat'), [...tray, file]);
    mock.tell();
    return response.writeHead(200, { ...headers, 'content-type': 'application/json' }).end(JSON.stringify({ id }));
  }
  if (rest[0] === 'picture' && request.method === 'POST') {
    if (!mock.secrets.has(request.headers.authorization?.slice(7))) return refuse(403, 'not_admitted');
    request.resume();
    await mock.gate;
    if (kindOf(request.headers['content-type']) !== 'picture') return refuse(415, 'not_a_picture');
    page.world.account = { ...page.world.account, picture: randomBytes(8).toString('hex') };
    mock.tell();
    return response.writeHead(200, { ...headers, 'content-type': 'application/json' }).end('{}');
  }
  const strict = { ...headers, 'content-security-policy': "sandbox; default-src 'none'", 'cache-control': 'no-store' };
  const preview = Number(url.searchParams.get('preview') ?? 0);
  if (rest[0] === 'face') return response.writeHead(200, { ...strict, 'content-type': 'image/png' }).end(picture(rest[1], 128, 128));
  if (rest[0] === 'tray') {
    const file = [...page.trays.values()].flat().find((one) => one.id === rest[1]);
    if (!file || file.kind !== 'picture') return refuse(415, 'no_picture');
    return response.writeHead(200, { ...strict, 'content-type': 'image/png' }).end(picture(file.id, 128, 128));
  }
  const message = page.world.find(rest[0])?.message;
  const file = message?.attachments[Number(rest[1])];
  if (!file) return refuse(404, 'unknown_message');
  if (file.state === 'remote' || file.state === 'fetching') return refuse(404, 'file_not_here');
  if (preview > 0) {
    if (kindOf(file.content_type, file.voice) !== 'picture' || file.fake) return refuse(415, 'no_picture');
    const [width, height] = [file.width ?? 640, file.height ?? 480];
    const scale = Math.min(1, preview / 3 / Math.max(width, height));
    return response.writeHead(200, { ...strict, 'content-type': 'image/png' }).end(picture(`${message.id} ${rest[1]}`, Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))));
  }
  if (url.searchParams.has('sound')) {
    if (!['voice', 'audio'].includes(kindOf(file.content_type, file.voice)) || file.content_type === 'audio/ogg') return refuse(415, 'no_picture');
    return response.writeHead(200, { ...strict, 'content-type': 'application/json' }).end(JSON.stringify({ seconds: 4, bars: Array.from({ length: 48 }, (_, n) => Math.abs(Math.sin(n * 0.7)) * (0.4 + ((n * 37) % 10) / 16)) }));
  }
  const bytes = page.world.contents.get(`${message.id} ${rest[1]}`) ?? (['voice', 'audio'].includes(kindOf(file.content_type, file.voice)) ? melody() : Buffer.from(`made up: ${file.name}`));
  const plays = url.searchParams.has('play') && bytes.subarray(0, 4).toString('latin1') === 'RIFF';
  const name = encodeURIComponent((file.name ?? 'file').replaceAll(/[^\w. -]/gu, '_'));
  response.writeHead(200, { ...strict, 'content-type': plays ? 'audio/wav' : 'application/octet-stream', 'content-length': bytes.length, 'content-disposition': `${plays ? 'inline' : 'attachment'}; filename="${name}"` }).end(bytes);
}
