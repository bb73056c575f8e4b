/** Random requests on the real API: the oracle and the generators, for a sample in `npm test` and for the soak. */
import * as fc from 'fast-check';
import { Type, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { image } from '../../appliance/resources/croft-kinds.ts';
import { includesRole, type Role } from '../../ui-api/auth/roles.ts';
import { Problem } from '../../ui-api/schemas/common.ts';
import type { DescribedRoute } from '../../ui-api/server/openapi.ts';
import { startApi, type Harness } from '../api/harness.ts';
import type { Round } from './soak.ts';

const fill = (url: string, value = 'nothing'): string => url.replace(/:\w+/g, encodeURIComponent(value));
/** The event stream never ends. */
export const addressOf = (route: DescribedRoute, value?: string): string =>
  route.url === '/v1/events' ? '/v1/events?list=true' : fill(route.url, value);

const isAllowed = (route: DescribedRoute, as: Role | 'none'): boolean =>
  route.permission === 'open' || (as !== 'none' && includesRole(as, route.permission));

/** What Kubernetes' clients read of a failure. */
const KubernetesStatus = Type.Object({
  kind: Type.Literal('Status'),
  apiVersion: Type.Literal('v1'),
  status: Type.Literal('Failure'),
  reason: Type.String({ minLength: 1 }),
  message: Type.String({ minLength: 1 }),
  code: Type.Integer(),
});

/** @throws Error naming the request when the answer is a fault of ours or outside its schema */
export function checkAnswer(route: DescribedRoute, status: number, body: unknown, what: string): void {
  if (status >= 500) throw new Error(`${what}: ${status} ${JSON.stringify(body)}`);
  const failure = route.kubernetes ? KubernetesStatus : Problem;
  if (status >= 400 && !Value.Check(failure, body)) throw new Error(`${what}: no failure but ${JSON.stringify(body)}`);
  const schema: TSchema | undefined = route.response?.[String(status)];
  if (!schema || status >= 300) return;
  const [error] = [...Value.Errors(schema, body)];
  if (error) throw new Error(`${what}: outside its schema at ${error.instancePath}: ${error.message}`);
}

const name = fc.oneof(
  fc.constantFrom('a', 'b', 'tiny', 'default', '0193e7a2-1111-7222-8333-444455556666'),
  fc.string({ minLength: 1, maxLength: 20 }),
);
const scalar = fc.oneof(
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom('1Gi', 'tiny', 'small', 'Always', 'default', 'admin', 'serial'),
  name,
  fc.double(),
);
const fields = fc.constantFrom(
  ...'name image size cpus memory disks nics network firmware runStrategy start labels source vlan trunk interfaces access native confirmWithin address dhcp nat driver role password passphrase token user kind apiVersion metadata spec volume ttlSeconds expiresAt force __proto__ constructor'.split(
    ' ',
  ),
);
const json = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 3 }, scalar, tie('object'), fc.array(tie('value'), { maxLength: 3 })),
  object: fc.dictionary(fields, tie('value'), { maxKeys: 6 }),
}));
/** Right enough to get past the schema often. */
const likely = fc.record(
  {
    name: fc.constantFrom('a', 'b', 'c'),
    image: fc.constantFrom('tiny', 'nope'),
    size: fc.constantFrom('tiny', 'huge', '1Gi', 5),
    cpus: fc.integer({ min: 0, max: 300 }),
    memory: fc.constantFrom('256Mi', 0, 'x', 2 ** 30),
    disks: fc.array(fc.record({ size: fc.constantFrom('1Gi', 0), name: name }, { requiredKeys: [] }), { maxLength: 2 }),
    source: fc.constantFrom({ build: 'tiny' }, {}, { url: 'http://x' }),
    vlan: fc.integer({ min: -1, max: 4100 }),
    role: fc.constantFrom('admin', 'viewer', 'god'),
    labels: fc.dictionary(name, name, { maxKeys: 2 }),
  },
  { requiredKeys: [] },
);
const query = fc.dictionary(
  fc.constantFrom('limit', 'pageToken', 'sort', 'q', 'state', 'labelSelector', 'project', 'dryRun', 'deleteDisks', 'x'),
  fc.oneof(fc.constantFrom('true', 'false', '1', '-name', 'a=b', 'a in (b', '=,'), fc.string({ maxLength: 12 })),
  { maxKeys: 3 },
);

/** Not asked at random: they would sign the tests out, or answer with text. */
const leftOut = ['/v1/session', '/v1/setup', '/v1/openapi.json', '/metrics'];

/** @throws Error with the seed and the smallest request that hurts the oracle */
export async function checkRequests(api: Harness, { runs, seed }: { runs: number; seed: number }): Promise<void> {
  const request = fc.record({
    route: fc.constantFrom(...api.app.croft.routes.filter(({ url }) => !leftOut.includes(url))),
    name,
    body: fc.oneof({ weight: 3, arbitrary: likely }, { weight: 2, arbitrary: json.object }, { weight: 1, arbitrary: scalar }),
    query,
    any: fc.boolean(),
    as: fc.constantFrom<Role | 'none'>('admin', 'operator', 'viewer', 'none'),
    key: fc.option(fc.constantFrom('k1', 'k2', ''), { nil: undefined }),
  });
  const property = fc.asyncProperty(request, async ({ route, name: given, body, query: search, any, as, key }) => {
    const path = addressOf(route, given === '.' || given === '..' ? 'a' : given);
    const target = `${path}${path.includes('?') ? '&' : '?'}${new URLSearchParams(search)}`;
    const hasBody = !['GET', 'DELETE'].includes(route.method);
    const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key };
    const answer = await api.call(route.method, target, { as, any, ...(hasBody ? { body } : {}), headers });
    const what = `${route.method} ${target} as ${as}`;
    const planned = (answer.body as { dryRun?: boolean } | undefined)?.dryRun === true;
    if (!planned) checkAnswer(route, answer.status, answer.body, what);
    if (!isAllowed(route, as) && ![401, 403].includes(answer.status)) throw new Error(`${what}: ${answer.status} past the role`);
  });
  await fc.assert(property, { numRuns: runs, seed });
}

/** An API with the image that likely requests name. */
export async function startTarget(): Promise<Harness> {
  const api = await startApi({ signInsPerMinute: 1_000_000 });
  await api.store.create(image, { metadata: { name: 'tiny' }, spec: { source: { build: 'tiny' } } });
  return api;
}

/** A batch on an API of its own per round: what one left doesn't make the next fail only together with it. */
export async function openRequests(runs: number): Promise<{ round: Round; close: () => Promise<void> }> {
  return {
    round: async (seed) => {
      const api = await startTarget();
      try {
        await checkRequests(api, { runs, seed });
      } finally {
        await api.stop();
      }
      return `${runs} requests`;
    },
    close: async () => undefined,
  };
}
