import { readFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import type { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { wantedAt } from '../../../ui-api/cli/complete.ts';
import { buildWholeProgram, entries } from '../../../ui-api/cli/program.ts';
import { renderReference } from '../../../ui-api/cli/reference.ts';
import { startFakeApi, vmNamed, type FakeApi } from './fake-api.ts';
import { runCli } from './run-cli.ts';

const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
const whole = () =>
  buildWholeProgram({
    io: { stdin: process.stdin, stdout: nowhere, stderr: nowhere, env: {}, signal: new AbortController().signal },
    exitCode: 0,
  });

const all = (command: Command): Command[] => [command, ...command.commands.flatMap(all)];

describe('the command tree', () => {
  it('is what docs/cli.md says (node ui-api/cli/reference.ts > docs/cli.md)', async () => {
    expect(readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8')).toBe(renderReference(await whole()));
  });

  it('describes every command and option, and has the summaries of its stubs', async () => {
    const program = await whole();
    for (const command of all(program)) {
      expect(command.description(), command.name()).not.toBe('');
      for (const option of command.options) expect(option.description, `${command.name()} ${option.flags}`).not.toBe('');
    }
    expect(program.commands.map((command) => command.name())).toEqual(Object.keys(entries));
  });
});

describe('completion', () => {
  it('knows where it is', async () => {
    const program = await whole();
    const at = (line: string) => wantedAt(program, line.split(' '));
    expect(at('vm st')).toEqual({ words: ['start', 'stop'] });
    expect(at('vm show ')).toEqual({ placeholder: 'vm', typed: '' });
    expect(at('vm stop a b')).toEqual({ placeholder: 'vm', typed: 'b' });
    expect(at('vm create x --image ti')).toEqual({ placeholder: 'image', typed: 'ti' });
    expect(at('vm create x --no-s')).toEqual({ words: ['--no-start'] });
    expect(at('vm wait a ')).toEqual({ placeholder: 'condition', typed: '' });
    expect(at('--host http://x net')).toEqual({ words: ['network'] });
  });

  describe('with an API', () => {
    let api: FakeApi;
    beforeEach(async () => {
      api = await startFakeApi();
    });
    afterEach(() => api.close());
    const complete = (...typed: string[]) => runCli(['__complete', '--', ...typed], { env: { CROFT_HOST: api.url } });

    it('offers live names, and nothing rather than an error', async () => {
      api.objects.vms = [vmNamed('web-1'), vmNamed('web-2'), vmNamed('db-1')];
      expect(await complete('vm', 'show', 'we')).toEqual({ code: 0, stdout: 'web-1\nweb-2\n', stderr: '' });
      const nobody = { env: { CROFT_HOST: 'http://127.0.0.1:1' } };
      expect(await runCli(['__complete', '--', 'vm', 'show', ''], nobody)).toEqual({ code: 0, stdout: '', stderr: '' });
    });

    it.each(['bash', 'zsh', 'fish'])('has a script for %s', async (shell) => {
      const { code, stdout } = await runCli(['completion', shell]);
      expect(code).toBe(0);
      expect(stdout).toContain('croft __complete --');
    });
  });
});
