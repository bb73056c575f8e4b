/** Join tokens, the preflight, votes, the one request over real TLS, and the saga through failures and cuts at every step. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { knock } from '../../../../appliance/cluster/join/knock.ts';
import { preflight, promotion, roleForJoin, type JoinRequest } from '../../../../appliance/cluster/join/preflight.ts';
import { joinSaga, type JoinContext } from '../../../../appliance/cluster/join/saga.ts';
import { joinPort, startJoinServer, type JoinAnswer } from '../../../../appliance/cluster/join/server.ts';
import { parseToken, tokenRefusal, tokenText, hashOf } from '../../../../appliance/cluster/join/token.ts';
import { issueToken } from '../../../../appliance/cluster/join/tokens.ts';
import { silentLogger } from '../../../../appliance/host/logger.ts';
import { node, type Node } from '../../../../appliance/resources/croft-kinds.ts';
import { openSqliteStore } from '../../../../appliance/store/sqlite.ts';
import type { ResourceStore } from '../../../../appliance/store/store.ts';
import { describeSaga } from '../../../contract/saga.ts';

type Peer = NonNullable<NonNullable<Node['status']>['peer']>;
const member = (name: string, peer?: Partial<Peer>): Pick<Node, 'metadata' | 'status'> => ({
  metadata: { name },
  status: peer ? { peer: { address: `10.0.0.${name.slice(-1)}`, role: 'agent', ...peer } } : {},
});
const request: JoinRequest = {
  boxId: 'id-of-box-2',
  name: 'box-2',
  address: '10.0.0.2',
  version: '1.0',
  witness: false,
  time: 10_000,
};

describe('preflight', () => {
  const problems = (change: Partial<JoinRequest>, members = [member('box-1', { role: 'voter' })], repeated = false) =>
    preflight({ ...request, ...change }, members, 10_000, '1.0', repeated);

  it('lets a fit box in, and names each thing that is wrong with its fix', () => {
    expect(problems({})).toEqual([]);
    expect(problems({ time: 11_000 })).toEqual([]);
    expect(problems({ time: 12_500 })).toEqual([
      { problem: 'The clock of box-2 is 2.5 s ahead; 1 s is allowed.', fix: expect.stringContaining('chronyc') as string },
    ]);
    expect(problems({ version: '0.9' })[0]?.problem).toBe('box-2 runs Croft 0.9, the cluster 1.0.');
    expect(problems({ name: 'box-1', address: '10.0.0.1' }).map(({ problem }) => problem)).toEqual([
      'There is a box box-1 in the cluster already.',
      'Cluster address 10.0.0.1 is that of box-1.',
    ]);
    expect(problems({ name: 'Box 2' })[0]?.problem).toContain('lower-case');
  });

  it('does not find a box its own duplicate when it repeats its join', () => {
    const members = [member('box-1', { role: 'voter' }), member('box-2', {})];
    expect(problems({}, members)).toHaveLength(2);
    expect(problems({}, members, true)).toEqual([]);
  });
});

describe('voters', () => {
  const voter = (name: string, more: Partial<Peer> = {}) => member(name, { role: 'voter', ...more });

  it('are one or three: the second box has no vote, the third brings two', () => {
    expect(roleForJoin([voter('box-1')])).toBe('agent');
    expect(roleForJoin([voter('box-1'), member('box-2', {})])).toBe('voter');
    expect(promotion([voter('box-1'), member('box-2', {})])).toBeUndefined();
    expect(promotion([voter('box-1'), member('box-2', {}), voter('box-3')])).toBe('box-2');
    expect(promotion([voter('box-1'), voter('box-2'), voter('box-3'), member('box-4', {})])).toBeUndefined();
    expect(roleForJoin([voter('box-1'), voter('box-2'), voter('box-3')])).toBe('agent');
  });

  it('prefer a witness', () => {
    expect(promotion([voter('box-1'), member('box-2', {}), member('box-4', { witness: true }), voter('box-3')])).toBe('box-4');
  });
});

describe('tokens and the request', () => {
  let directory: string;
  let store: ResourceStore;
  let close: (() => Promise<void>) | undefined;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'croft-join-'));
    store = openSqliteStore({ path: join(directory, 'store.db') });
  });
  afterEach(async () => {
    await close?.();
    close = undefined;
    await store.close();
    rmSync(directory, { recursive: true });
  });

  const serve = async () => {
    const kubeconfig = join(directory, 'admin.yaml');
    writeFileSync(kubeconfig, 'server: https://127.0.0.1:6443\n');
    const server = await startJoinServer({
      store,
      address: '127.0.0.1',
      keys: directory,
      version: '1.0',
      kubeconfig,
      nodeToken: async () => 'K10::server:secret',
      logger: silentLogger(),
    });
    close = server.close;
    const peer = { address: '127.0.0.1', role: 'voter' as const, fingerprint: server.fingerprint, joinPort };
    const made = await store.create(node, { metadata: { name: 'box-1' }, spec: {} });
    await store.updateStatus(node, { ...made, status: { peer } });
    return issueToken(store, 60_000);
  };
  const box2 = { boxId: 'id-of-box-2', name: 'box-2', address: '127.0.0.2', version: '1.0', witness: false };

  it('are read back, and anything else is refused', () => {
    const token = {
      id: 'a'.repeat(12),
      secret: 'b'.repeat(64),
      boxes: [{ address: '10.0.0.1', port: 1, fingerprint: 'c' }],
      expires: 5,
    };
    expect(parseToken(tokenText(token))).toEqual(token);
    for (const text of ['', 'croft1.', tokenText(token).slice(0, -9), 'croft1.e30'])
      expect(() => parseToken(text)).toThrow(/no join token/);
    const record = { hash: hashOf(token.secret), expires: 5 };
    expect(tokenRefusal(record, token.secret, 'x', 6)).toMatch(/expired/);
    expect(tokenRefusal(record, 'wrong', 'x', 4)).toMatch(/not known/);
  });

  it('are issued only where a box takes joins', async () => {
    await expect(issueToken(store, 1_000)).rejects.toMatchObject({ code: 'invalid-state' });
  });

  it('let one box in, that one again, and no other', async () => {
    const token = await serve();
    const answer = await knock(token, box2);
    expect(answer).toEqual({
      role: 'agent',
      k3s: { url: 'https://127.0.0.1:6443', token: 'K10::server:secret' },
      kubeconfig: 'server: https://127.0.0.1:6443\n',
    });
    expect(await knock(token, box2)).toEqual(answer);
    await expect(knock(token, { ...box2, boxId: 'id-of-box-3', name: 'box-3' })).rejects.toMatchObject({ code: 'forbidden' });
    await expect(knock({ ...token, secret: '0'.repeat(64) }, box2)).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('do not send the secret to a box with another certificate', async () => {
    const token = await serve();
    const [box] = token.boxes;
    const forged = { ...token, boxes: [{ ...(box as (typeof token.boxes)[number]), fingerprint: '0'.repeat(64) }] };
    await expect(knock(forged, box2)).rejects.toThrow(/is not the box that the token names/);
  });

  it('tell a box what keeps it out, with the fixes', async () => {
    const token = await serve();
    await expect(knock(token, { ...box2, version: '0.1' })).rejects.toMatchObject({
      code: 'invalid-state',
      message: 'box-2 runs Croft 0.1, the cluster 1.0.',
      fix: ['Install Croft 1.0 on box-2.'],
    });
  });

  it('say so when nobody answers', async () => {
    const token = await serve();
    await close?.();
    close = undefined;
    await expect(knock(token, box2)).rejects.toMatchObject({ code: 'unavailable' });
  });
});

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});
const answer: JoinAnswer = { role: 'voter', k3s: { url: 'https://10.0.0.1:6443', token: 't' }, kubeconfig: 'k' };

describeSaga<JoinContext>({
  name: 'cluster-join',
  setUp: async () => {
    const data = mkdtempSync(join(tmpdir(), 'croft-saga-'));
    directories.push(data);
    let running = false;
    const k3s = {
      install: async () => ({ version: 'v1', standIn: true }),
      configure: async () => undefined,
      start: async () => void (running = true),
      reset: async () => void (running = false),
      release: () => undefined,
    };
    const context: JoinContext = {
      boxId: 'b',
      name: 'box-2',
      address: '10.0.0.2',
      witness: false,
      binary: '/k3s',
      images: [],
      kubeletArgs: [],
    };
    return {
      saga: joinSaga({ data, ask: async () => answer, k3s: async () => k3s, say: () => undefined }),
      context,
      snapshot: () => ({
        running,
        files: readdirSync(data)
          .toSorted()
          .map((name) => [name, readFileSync(join(data, name), 'utf8').replaceAll(data, '')]),
      }),
    };
  },
});
