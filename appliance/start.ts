/**
 * `croft start` (announce, install, serve), `croft serve` (the service alone, as an init system starts it) and
 * `croft dev` (the whole product on simulated drivers). Ctrl-C and SIGTERM stop the service, never the guests.
 */
import { readFile } from 'node:fs/promises';
import { flushCompileCache } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { composeBox, composeBoxPart, type Box } from './compose.ts';
import { loadConfig, settings, type Config, type SettingName } from './config.ts';
import { CroftError, messageOf } from './errors.ts';
import { run as runProgram } from './host/exec.ts';
import { createLogger } from './host/logger.ts';
import { announcement } from './install/announcement.ts';
import { ensurePackages, explainMissing, planPackages } from './install/installer.ts';
import { forgetService, recordService } from './install/running.ts';

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Flags of the settings (config.ts) plus the given switches. @throws CroftError `invalid-input` */
function parseFlags(args: string[], switches: readonly string[]): { flags: Partial<Config>; on: Set<string> } {
  const names = Object.keys(settings) as SettingName[];
  const options = Object.fromEntries([
    ...names.map((name) => [settings[name].flag, { type: 'string' as const }]),
    ...switches.map((name) => [name, { type: 'boolean' as const }]),
  ]);
  try {
    const values: Record<string, unknown> = parseArgs({ args, options }).values;
    const flags = Object.fromEntries(
      names.flatMap((name) => {
        const value = values[settings[name].flag];
        return typeof value === 'string' ? [[name, value]] : [];
      }),
    );
    return { flags, on: new Set(switches.filter((name) => values[name] === true)) };
  } catch (error) {
    throw new CroftError('invalid-input', messageOf(error), { cause: error });
  }
}

export async function start(args: string[]): Promise<number> {
  const { flags, on } = parseFlags(args, ['no-install']);
  const config = loadConfig(flags);
  const install = !on.has('no-install') && !['no', '0', 'false'].includes(process.env.CROFT_INSTALL ?? 'yes');
  const plan = await planPackages('run');
  say(
    announcement({
      plan,
      install,
      root: process.getuid?.() === 0,
      dataDir: config.data,
      runDir: config.run,
      cacheDir: config.cache,
      listen: config.listen,
      ovs: config.ovs === 'none' ? 'none' : config.ovs === 'system' ? 'system' : 'own',
      ipForward: (await readFile('/proc/sys/net/ipv4/ip_forward', 'utf8')).trim(),
      settings: changedSettings(config),
    }),
  );
  const missing = await ensurePackages({ purpose: 'run', install, dataDir: config.data, log: say, plan });
  for (const line of explainMissing(missing)) say(line);
  // A person reads this terminal: unless asked otherwise, the log says what is wrong, not what goes well.
  return run(config.log === settings.log.default ? { ...config, log: 'warn' } : config, false);
}

const changedSettings = (config: Config): string[] =>
  (Object.keys(settings) as SettingName[])
    .filter((name) => config[name] !== settings[name].default)
    .map((name) => `${settings[name].env}=${config[name]}`);

export const serve = async (args: string[]): Promise<number> => run(loadConfig(parseFlags(args, []).flags), false);

/**
 * `croft serve-box --api-user NAME` and `croft serve-api`: the two processes of an appliance. The box as root, the API
 * as that user; neither installs anything.
 */
export async function serveBox(args: string[]): Promise<number> {
  const logger = createLogger(loadConfig().log);
  const apiAccount = await accountOf(
    parseArgs({ args, options: { 'api-user': { type: 'string' } } }).values['api-user'] ?? 'croft',
  );
  const config = loadConfig();
  const stopped = ending();
  let box = await composeBoxPart(config, { logger, simulated: false, apiAccount });
  await recordService(config.run);
  flushCompileCache();
  while ((await Promise.race([stopped, box.changed])) !== 'stop') {
    say('This box’s part in its cluster has changed: the service starts anew; guests run on.');
    await box.stop();
    box = await composeBoxPart(config, { logger, simulated: false, apiAccount });
  }
  if (await machineStops()) {
    say('The machine goes down: its guests are switched off.');
    await box.shutDownGuests();
  }
  await box.stop();
  await forgetService(config.run);
  return 0;
}

export async function serveApi(): Promise<number> {
  const config = loadConfig();
  const api = await (await import('./compose-api.ts')).composeApi(config, createLogger(config.log));
  for (const line of greeting(api)) process.stdout.write(`${line}\n`);
  flushCompileCache();
  await ending();
  await api.stop();
  return 0;
}

/** Whether systemd is shutting the machine down; otherwise only the service ends, and guests run on. */
async function machineStops(): Promise<boolean> {
  // Its answer is also its exit code; without systemd there is no answer.
  const { stdout } = await runProgram(['systemctl', 'is-system-running'], { okCodes: [0, 1] }).catch(() => ({ stdout: '' }));
  return stdout.trim() === 'stopping';
}

/** Resolves when the service is asked to end. */
const ending = (): Promise<'stop'> =>
  new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve('stop'));
  });

/** @throws CroftError `not-found` when the machine has no such account */
async function accountOf(user: string): Promise<{ uid: number; gid: number }> {
  const line = (await readFile('/etc/passwd', 'utf8')).split('\n').find((entry) => entry.startsWith(`${user}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  if (uid === undefined || gid === undefined)
    throw new CroftError('not-found', `--api-user: there is no account ${JSON.stringify(user)}.`);
  return { uid: Number(uid), gid: Number(gid) };
}

/** Everything simulated, in a directory of its own unless told otherwise. */
export async function dev(args: string[]): Promise<number> {
  const { flags } = parseFlags(args, []);
  const home = join(tmpdir(), `croft-dev-${process.getuid?.() ?? 0}`);
  return run(loadConfig({ data: join(home, 'data'), run: join(home, 'run'), ...flags }), true);
}

async function run(config: Config, simulated: boolean): Promise<number> {
  const logger = createLogger(config.log);
  const ended = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ended.abort());
  const stopped = new Promise<'stop'>((resolve) =>
    ended.signal.aborted ? resolve('stop') : ended.signal.addEventListener('abort', () => resolve('stop')),
  );
  let box = await composeBox(config, { logger, simulated });
  await recordService(config.run);
  for (const line of greeting(box)) process.stdout.write(`${line}\n`);
  // Node writes its cache of compiled code at the end only, and the next start may follow a kill.
  flushCompileCache();
  while ((await Promise.race([stopped, box.changed])) !== 'stop') {
    say('This box’s part in its cluster has changed: the service starts anew; guests run on.');
    await box.stop();
    box = await composeBox(config, { logger, simulated });
  }
  say('Stopping the service; guests run on. Start it again with `npm start`, or stop guests with `croft vm stop --all`.');
  await box.stop();
  await forgetService(config.run);
  return 0;
}

/** The one line at the end of a start: the address and how to sign in. */
function greeting(box: Pick<Box, 'url' | 'setupUrl'>): string[] {
  const signIn = box.setupUrl ? `Set the administrator's password: ${box.setupUrl}` : `Sign in at ${box.url}`;
  return [`Croft is ready at ${box.url}  ·  ${signIn}  ·  or use \`croft\` here as root.`];
}
