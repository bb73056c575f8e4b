import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { baseUrlOf, resolveConnection, writeContexts } from '../../../ui-api/cli/context.ts';
import { json, problem, startFakeApi, type FakeApi } from './fake-api.ts';
import { runCli } from './run-cli.ts';

let home: string;
let api: FakeApi;
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'croft-cli-'));
  api = await startFakeApi();
});
afterEach(async () => {
  await api.close();
  rmSync(home, { recursive: true });
});
const env = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({ XDG_CONFIG_HOME: home, ...more });
const saved = () => JSON.parse(readFileSync(join(home, 'croft/contexts.json'), 'utf8')) as unknown;

describe('which Croft', () => {
  it('follows the order of docs/cli.md', async () => {
    const contexts = { lab: { host: 'https://lab:8440', token: 'l' }, home: { host: 'https://home:8440' } };
    await writeContexts(env(), { current: 'lab', contexts });
    const from = (options: object, more?: NodeJS.ProcessEnv) => {
      const { baseUrl, socketPath, token } = resolveConnection(options, env(more));
      return [baseUrl ?? socketPath, token];
    };
    expect(from({ host: 'x' }, { CROFT_HOST: 'https://ci:1' })).toEqual(['https://x:8440', undefined]);
    expect(from({ context: 'home' }, { CROFT_HOST: 'https://ci:1' })).toEqual(['https://home:8440', undefined]);
    expect(from({}, { CROFT_HOST: 'https://ci:1', CROFT_TOKEN: 'c' })).toEqual(['https://ci:1', 'c']);
    expect(from({}, { CROFT_RUN: '/tmp/r' })).toEqual(['/tmp/r/api/api.sock', undefined]);
    expect(from({})).toEqual(['https://lab:8440', 'l']);
    await writeContexts(env(), { contexts });
    expect(from({})).toEqual(['/run/croft/api/api.sock', undefined]);
    expect(() => from({ context: 'hom' })).toThrow('did you mean home?');
  });

  it('understands hosts', () => {
    expect([baseUrlOf('box'), baseUrlOf('box:1'), baseUrlOf('http://127.0.0.1:8440/'), baseUrlOf('https://box')]).toEqual([
      'https://box:8440',
      'https://box:1',
      'http://127.0.0.1:8440',
      'https://box',
    ]);
  });
});

describe('login', () => {
  beforeEach(() => {
    api.routes['POST /v1/session'] = ({ body }, response) => {
      const { password } = body as { password: string };
      if (password !== 'correct horse') return problem(response, 401, 'unauthenticated', 'User or password is wrong.');
      return json(
        response,
        201,
        { user: 'ana', role: 'admin', via: 'session' },
        { 'set-cookie': 'croft_session=abc; Path=/; HttpOnly' },
      );
    };
    api.routes['POST /v1/tokens'] = ({ headers }, response) =>
      headers.cookie === 'croft_session=abc' && headers['x-croft-csrf']
        ? json(response, 201, { name: 'cli', secret: 'croft_s' })
        : problem(response, 401, 'unauthenticated', 'No.');
    api.routes['DELETE /v1/session'] = (_request, response) => response.writeHead(204).end();
  });
  const login = (password: string) =>
    runCli(['login', api.url, '--user', 'ana', '--password-stdin', '--name', 'box'], { env: env(), stdin: `${password}\n` });

  it('keeps a token, not the password, readable by its owner only', async () => {
    expect(await login('correct horse')).toMatchObject({
      code: 0,
      stderr: `Signed in to ${api.url} as ana. The current context is box.\n`,
    });
    expect(saved()).toEqual({ current: 'box', contexts: { box: { host: api.url, token: 'croft_s', user: 'ana' } } });
    expect(statSync(join(home, 'croft/contexts.json')).mode & 0o777).toBe(0o600);
    await runCli(['vm', 'list'], { env: env() });
    expect(api.seen.at(-1)?.headers.authorization).toBe('Bearer croft_s');
    expect((await runCli(['context', 'list'], { env: env() })).stdout).toContain('box   *');
    expect((await runCli(['logout'], { env: env() })).code).toBe(0);
    expect(saved()).toEqual({ contexts: {} });
  });

  it('keeps the session for roles that may make no tokens', async () => {
    api.routes['POST /v1/tokens'] = (_request, response) => problem(response, 403, 'forbidden', 'No.');
    expect((await login('correct horse')).code).toBe(0);
    await runCli(['vm', 'list'], { env: env() });
    expect(api.seen.at(-1)?.headers).toMatchObject({ cookie: 'croft_session=abc', 'x-croft-csrf': '1' });
  });

  it('is 4 with a wrong password, and saves nothing', async () => {
    expect((await login('wrong')).code).toBe(4);
    expect(() => saved()).toThrow('ENOENT');
  });

  it('sends no password in the clear over a network', async () => {
    const { code, stderr } = await runCli(['login', 'http://box.example', '--user', 'a', '--password-stdin'], {
      env: env(),
      stdin: 'x',
    });
    expect(code).toBe(2);
    expect(stderr).toContain('in the clear');
  });
});
