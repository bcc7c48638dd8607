// Makes the emoji picker's list: groups of [emoji, name], without what the picker does not show.
// The page loads it when the picker is first opened.
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const groups = createRequire(import.meta.url)('unicode-emoji-json/data-by-group.json');
const list = groups.map((group) => [group.slug, group.emojis.map((emoji) => [emoji.emoji, emoji.name])]);
const folder = new URL('../src/generated/', import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(new URL('emoji.json', folder), JSON.stringify(list));
