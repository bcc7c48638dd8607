// Writes the page's types of what the program takes and says, from what the program itself publishes: docs/openrpc.json
// (calls and records) and docs/app.json (screens), both made of the Rust types. `--check` fails if the file is out of date.
import { readFileSync, writeFileSync } from 'node:fs';

const docs = new URL('../../../../docs/', import.meta.url);
const target = new URL('../src/lib/rpc.generated.ts', import.meta.url);
const read = (name) => JSON.parse(readFileSync(new URL(name, docs), 'utf8'));
const calls = read('openrpc.json');
const screens = read('app.json');
const schemas = { ...calls.components.schemas, ...screens.components.schemas };

const nameOf = (reference) => reference.split('/').at(-1);
const safe = (name) => (/^[A-Za-z_]\w*$/.test(name) ? name : JSON.stringify(name));
const words = (text, indent = '') => (text ? `${indent}/** ${text.replaceAll('*/', '* /')} */\n` : '');
/** Types that are one of several stand in brackets where something follows them. */
const bracketed = (type) => (/[|&]/.test(type) ? `(${type})` : type);

function isNull(schema) {
  return schema.type === 'null';
}

/** `null` is not among what an absent field can be: what is `null` is left out. */
function present(schema) {
  if (Array.isArray(schema.type)) return { ...schema, type: schema.type.filter((type) => type !== 'null') };
  const among = schema.anyOf?.filter((one) => !isNull(one));
  return among ? { ...schema, anyOf: among } : schema;
}

function fields(schema, indent, nulls) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).map(([name, field]) => {
    const optional = !required.has(name);
    return `${words(field.description, indent)}${indent}${safe(name)}${optional ? '?' : ''}: ${typeOf(optional && !nulls ? present(field) : field, indent)};\n`;
  });
}

function objectOf(schema, indent, nulls = false) {
  const lines = fields(schema, `${indent}  `, nulls);
  return lines.length === 0 ? 'Record<string, never>' : `{\n${lines.join('')}${indent}}`;
}

/** A schema as a type of TypeScript. What is not known here ends the run: nothing is guessed. */
function typeOf(schema, indent = '') {
  if (schema === true || Object.keys(schema).every((key) => key === 'description' || key === 'default')) return 'unknown';
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.$ref) {
    // An enum with fields carries the variant's own beside what it refers to.
    const beside = schema.properties ? ` & ${objectOf(schema, indent)}` : '';
    return nameOf(schema.$ref) + beside;
  }
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const several = schema.oneOf ?? schema.anyOf;
  if (several) {
    const type = [...new Set(several.map((one) => typeOf(one, indent)))].join(' | ');
    return schema.properties ? `${bracketed(type)} & ${objectOf(schema, indent)}` : type;
  }
  if (schema.allOf) {
    const all = schema.allOf.map((one) => bracketed(typeOf(one, indent)));
    return [...all, ...(schema.properties ? [objectOf(schema, indent)] : [])].join(' & ');
  }
  if (Array.isArray(schema.type)) return schema.type.map((type) => bracketed(typeOf({ ...schema, type }, indent))).join(' | ');
  if (schema.type === 'array') {
    if (Array.isArray(schema.items)) return `[${schema.items.map((item) => typeOf(item, indent)).join(', ')}]`;
    return `${bracketed(typeOf(schema.items ?? true, indent))}[]`;
  }
  if (schema.type === 'object') return objectOf(schema, indent);
  const simple = { string: 'string', boolean: 'boolean', integer: 'number', number: 'number', null: 'null' }[schema.type];
  if (!simple) throw new Error(`no type for ${JSON.stringify(schema).slice(0, 300)}`);
  return simple;
}

function declaration(name, schema) {
  const { description, ...rest } = schema;
  const plain = rest.type === 'object' && !rest.oneOf && !rest.anyOf && !rest.allOf && rest.properties;
  const text = plain ? `export interface ${name} ${objectOf(rest, '')}` : `export type ${name} = ${typeOf(rest)};`;
  return `${words(description)}${text}\n`;
}

function paramsOf(method) {
  const properties = Object.fromEntries(method.params.map((param) => [param.name, { ...param.schema, description: param.description }]));
  const required = method.params.filter((param) => param.required).map((param) => param.name);
  return objectOf({ properties, required }, '    ', true);
}

const methods = calls.methods.map(
  (method) => `${words(method.description, '  ')}  ${method.name}: {\n    params: ${paramsOf(method)};\n    result: ${typeOf(method.result.schema, '    ')};\n  };\n`,
);
const views = Object.entries(screens.views).map(([view, state]) => `  ${view}: ${nameOf(state.$ref)};\n`);

const text = `// Made by \`npm run types\` of docs/openrpc.json and docs/app.json, which are made of the Rust types. Not to be edited.

${Object.keys(schemas).sort().map((name) => declaration(name, schemas[name])).join('\n')}
/** Every call a program can make: what it takes and gives. */
export interface Calls {
${methods.join('')}}

/** Every screen, by the name it is opened with: its state. */
export interface ViewStates {
${views.join('')}}
`;

if (process.argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== text) {
    console.error('src/lib/rpc.generated.ts is not what docs/openrpc.json and docs/app.json say: npm run types');
    process.exit(1);
  }
} else {
  writeFileSync(target, text);
}
