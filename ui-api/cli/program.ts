/** The command tree. A noun's module is loaded only when the command line names it: `croft` starts in the time Node takes. */
import { Command, CommanderError } from 'commander';
import type { Shell } from './session.ts';

type Register = (program: Command, shell: Shell) => void;
type Entry = { summary: string; load: () => Promise<Register> };

/** All top-level commands, in the order of help. */
export const entries: Record<string, Entry> = {
  vm: { summary: 'virtual machines', load: async () => (await import('./nouns/vm.ts')).register },
  image: { summary: 'images that VMs are made of', load: async () => (await import('./nouns/image.ts')).register },
  volume: { summary: 'volumes: the disks of VMs', load: async () => (await import('./nouns/volume.ts')).register },
  snapshot: { summary: 'snapshots of VMs', load: async () => (await import('./nouns/snapshot.ts')).register },
  network: { summary: 'networks that NICs are on', load: async () => (await import('./nouns/network.ts')).register },
  uplink: {
    summary: 'NICs and bonds that VLANs leave the box by',
    load: async () => (await import('./nouns/uplink.ts')).register,
  },
  pool: { summary: 'storage pools', load: async () => (await import('./nouns/pool.ts')).register },
  disk: { summary: 'disks that replicated pools are made of', load: async () => (await import('./nouns/disk.ts')).register },
  preference: {
    summary: 'defaults for what a VM leaves open',
    load: async () => (await import('./nouns/instancetype.ts')).registerPreference,
  },
  instancetype: { summary: 'named sizes of VMs', load: async () => (await import('./nouns/instancetype.ts')).register },
  node: { summary: 'this box', load: async () => (await import('./nouns/node.ts')).register },
  cluster: { summary: 'the box’s Kubernetes', load: async () => (await import('./nouns/cluster.ts')).register },
  kubeconfig: {
    summary: 'print a kubeconfig for this box, with a new token: kubectl and virtctl work with it',
    load: async () => (await import('./nouns/kubeconfig.ts')).register,
  },
  user: { summary: 'people who may sign in', load: async () => (await import('./nouns/user.ts')).register },
  token: { summary: 'API tokens for programs', load: async () => (await import('./nouns/token.ts')).register },
  task: { summary: 'long work and its progress', load: async () => (await import('./nouns/task.ts')).register },
  event: { summary: 'what happened', load: async () => (await import('./nouns/event.ts')).register },
  apply: {
    summary: 'create or change what manifests describe',
    load: async () => (await import('./nouns/manifest.ts')).registerApply,
  },
  diff: { summary: 'show what apply would change', load: async () => (await import('./nouns/manifest.ts')).registerDiff },
  api: { summary: 'send a request to the API', load: async () => (await import('./nouns/api.ts')).register },
  login: { summary: 'sign in to a Croft', load: async () => (await import('./nouns/login.ts')).registerLogin },
  logout: { summary: 'sign out and forget', load: async () => (await import('./nouns/login.ts')).registerLogout },
  context: {
    summary: 'the Crofts signed in to, and which one is meant',
    load: async () => (await import('./nouns/context.ts')).register,
  },
  completion: {
    summary: 'print a shell’s completion script',
    load: async () => (await import('./nouns/completion.ts')).register,
  },
  version: { summary: 'versions of this CLI and of the API', load: async () => (await import('./nouns/version.ts')).register },
};

const aliases: Record<string, string> = { net: 'network' };

/** Every top-level word the CLI answers to; the appliance's own commands must not collide with them. */
export const commandNames: readonly string[] = [...Object.keys(entries), ...Object.keys(aliases), '__complete'];

/** The tree with the commands named in `argv` filled in; the others are known by name and summary only. */
export async function buildProgram(shell: Shell, argv: readonly string[]): Promise<Command> {
  const program = new Command('croft')
    .description('Virtual machines, disks and networks of a Croft box.')
    .option('--host <url>', 'API to speak to, e.g. https://box.example:8440')
    .option('--context <context>', 'context made by croft login')
    .option('--ca <file>', 'certificate authority of the API, PEM')
    .option('-p, --project <project>', 'project (default: default)')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help of a command')
    .configureHelp({ showGlobalOptions: true })
    .showSuggestionAfterError(true)
    .exitOverride((error: CommanderError) => {
      throw error;
    })
    .configureOutput({
      writeOut: (text) => void shell.io.stdout.write(text),
      writeErr: (text) => void shell.io.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'croft: ')),
      getOutHelpWidth: () => shell.io.stdout.columns ?? 100,
      getErrHelpWidth: () => shell.io.stderr.columns ?? 100,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  const named = new Set(argv.map((word) => aliases[word] ?? word));
  for (const [name, entry] of Object.entries(entries)) {
    if (named.has(name)) (await entry.load())(program, shell);
    else program.command(name).description(entry.summary);
  }
  return program;
}

/** The whole tree, for the reference and for completion of `help`. */
export const buildWholeProgram = (shell: Shell): Promise<Command> => buildProgram(shell, Object.keys(entries));
