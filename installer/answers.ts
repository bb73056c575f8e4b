/**
 * The answers of an unattended installation: one YAML document, checked whole before a disk is touched.
 * docs/appliance.md describes every field; its example is parsed by the tests.
 */
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { parseDocument } from 'yaml';
import { CroftError, type FieldError } from '../appliance/errors.ts';
import { networkSchema, wrongNetwork } from './network-answers.ts';

export const hostnamePattern = '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$';

/** Characters; as the API asks for (ui-api/schemas/objects.ts). */
export const leastPassword = 10;

export const answersSchema = Type.Object(
  {
    version: Type.Literal(1),
    /** Name of the box: one DNS label. */
    hostname: Type.String({ pattern: hostnamePattern }),
    /** `auto`: the only blank disk that is large enough. A serial number: that disk, whatever is on it. */
    systemDisk: Type.Union([
      Type.Literal('auto'),
      Type.Object({ serial: Type.String({ minLength: 1 }) }, { additionalProperties: false }),
    ]),
    /** The first administrator; without it the machine's log shows a one-time link. */
    administrator: Type.Optional(
      Type.Object(
        {
          name: Type.Optional(Type.String({ pattern: hostnamePattern })),
          password: Type.String({ minLength: leastPassword, maxLength: 1024 }),
        },
        { additionalProperties: false },
      ),
    ),
    /** A fixed address; without it every wired port asks by DHCP. */
    network: Type.Optional(networkSchema),
    /** What follows a finished installation. */
    finish: Type.Optional(Type.Union([Type.Literal('reboot'), Type.Literal('power-off')])),
  },
  { additionalProperties: false },
);
export type Answers = Static<typeof answersSchema>;

/** What would be right, for each field. */
export const expectations = {
  version: 'must be 1',
  hostname: 'must be one DNS label: 1 to 63 of a-z, 0-9 and -, not beginning or ending with -',
  systemDisk: 'must be auto, or {serial: SERIAL} to name a disk whose content may be erased',
  administrator: 'must be {name: NAME, password: TEXT} with at least 10 characters of password; without name it is admin',
  network:
    'must be {interface: MAC or name, addresses: [ADDRESS/PREFIX], gateway: ADDRESS, dns: [ADDRESS], vlan: 1 to 4094}; the last three may be left out',
  finish: 'must be reboot or power-off',
} as const;
const fieldNames = Object.keys(answersSchema.properties);

/** Reads an answers file. @throws CroftError `invalid-input` naming each wrong field, its value and what would be right */
export function parseAnswers(text: string, source = 'answers'): Answers {
  const document = parseDocument(text, { prettyErrors: true });
  const [syntax] = document.errors;
  if (syntax) throw new CroftError('invalid-input', `${source}: not YAML: ${syntax.message.split('\n')[0] ?? ''}`);
  const value: unknown = document.toJS();
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CroftError('invalid-input', `${source}: must be a mapping with ${fieldNames.join(', ')}.`);
  }
  if (Value.Check(answersSchema, value)) {
    const wrong = value.network && wrongNetwork(value.network);
    if (!wrong) return value;
    const detail = `network: ${wrong}`;
    throw new CroftError('invalid-input', `${source}: ${detail}.`, { errors: [{ pointer: '/network', detail }] });
  }
  const errors = wrongFields(value as Record<string, unknown>);
  throw new CroftError('invalid-input', `${source}: ${errors.map(({ detail }) => detail).join('; ')}.`, { errors });
}

/** One message per wrong field: a union's own errors name each of its branches, which helps nobody. */
function wrongFields(value: Record<string, unknown>): FieldError[] {
  const names = new Set(
    [...Value.Errors(answersSchema, value)]
      .map(({ instancePath }) => instancePath.split('/')[1])
      .filter((name) => name !== undefined),
  );
  for (const name of fieldNames) {
    if (!(name in value) && answersSchema.required.includes(name as never)) names.add(name);
  }
  for (const name of Object.keys(value)) if (!fieldNames.includes(name)) names.add(name);
  return [...names].filter((name) => name !== '').map((name) => ({ pointer: `/${name}`, detail: explain(name, value) }));
}

function explain(name: string, value: Record<string, unknown>): string {
  if (!fieldNames.includes(name)) return `${name} is no field; there are ${fieldNames.join(', ')}`;
  if (!(name in value)) return `${name} is missing: it ${(expectations as Record<string, string>)[name]}`;
  // Passwords do not belong on a console.
  const shown = name === 'administrator' ? '' : `${JSON.stringify(value[name])} `;
  return `${name}: ${shown}${(expectations as Record<string, string>)[name]}`;
}
