import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startFakeApi, vmNamed, type FakeApi } from './fake-api.ts';
import { runCli } from './run-cli.ts';

let api: FakeApi;
beforeEach(async () => {
  api = await startFakeApi();
  api.objects.vms = [vmNamed('a')];
  api.onConsole = (typed, answer) => answer(typed === 'root\r' ? 'Password: # ' : `echo:${typed}\n`);
});
afterEach(() => api.close());

const console_ = (more: string[], stdin?: string) =>
  runCli(['vm', 'console', 'a', ...more], { env: { CROFT_HOST: api.url }, stdin });

describe('vm console', () => {
  it('types standard input and prints the answer', async () => {
    const { code, stdout } = await console_([], 'hello\n');
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'echo:hello\n\n' });
    expect(api.seen.at(-1)).toMatchObject({ path: '/v1/console', query: { ticket: 'once' } });
  });

  it('holds a conversation in order', async () => {
    const { code, stdout } = await console_(['--send', 'root', '--expect', '# $', '--send', 'uname', '--expect', 'echo:uname']);
    expect(code).toBe(0);
    expect(stdout).toBe('Password: # echo:uname\r\n');
  });

  it('fails with 6 when the expected text does not come', async () => {
    const { code, stderr } = await console_(['--expect', 'login:', '--timeout', '200ms']);
    expect({ code, stderr }).toEqual({ code: 6, stderr: 'croft: /login:/m was not seen within 0.2 s.\n' });
  });

  it('is raw on a terminal, left with Ctrl-]', async () => {
    const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (raw: boolean) => modes.push(raw) });
    const modes: boolean[] = [];
    let shown = '';
    const running = runCli(['vm', 'console', 'a'], {
      env: { CROFT_HOST: api.url },
      stdin,
      onStdout: (text) => {
        shown += text;
      },
    });
    await expect.poll(() => modes).toEqual([true]);
    stdin.write('x');
    await expect.poll(() => shown).toBe('echo:x\n');
    stdin.write('y\u001D');
    const { code, stderr } = await running;
    expect(code).toBe(0);
    expect(modes).toEqual([true, false]);
    expect(stderr).toContain('Press Ctrl-] to leave');
  });
});
