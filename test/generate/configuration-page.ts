/** docs/configuration.md, made from the settings. `node test/generate/configuration-page.ts` writes it, `--check` compares. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { settings } from '../../appliance/config.ts';
import { settle } from './settle.ts';

/** A default, the same whoever makes the page. */
const shown = (value: string): string => `\`${value.replace(homedir(), '~')}\``;

export const configurationPage = (): string =>
  [
    '# Configuration',
    '',
    'Croft needs no configuration. What can be set, can be set in three ways; the first that is there wins:',
    '',
    '1. a flag: `npm start -- --listen 127.0.0.1:9000`',
    '2. an environment variable: `CROFT_LISTEN=127.0.0.1:9000 npm start`',
    '3. a YAML file that `CROFT_CONFIG` names, with the names of the first column as keys: `listen: 127.0.0.1:9000`',
    '',
    'A wrong value, or a key in the file that is no setting, is refused at the start with a sentence that names it.',
    '',
    '*Made from `appliance/config.ts` by `test/generate/configuration-page.ts`.*',
    '',
    '## Settings of the service',
    '',
    '| Name | Flag | Variable | Default | |',
    '| --- | --- | --- | --- | --- |',
    ...Object.entries(settings).map(
      ([name, setting]) =>
        `| \`${name}\` | \`--${setting.flag}\` | \`${setting.env}\` | ${shown(setting.default)} | ${setting.description} |`,
    ),
    '',
    'On any other address than loopback the service speaks HTTPS: with the certificate and key in `keys/` of the data',
    'directory, or with a self-signed certificate that it makes there. `croft node set-certificate CERT KEY`, or the console’s',
    'settings, put your own there; it is served at once.',
    '',
    '## Other variables',
    '',
    '| Variable | |',
    '| --- | --- |',
    '| `CROFT_INSTALL` | `no`: nothing is installed, neither npm nor Debian packages; the same as `--no-install` |',
    '| `CROFT_CONFIG` | the settings file |',
    '| `CROFT_HOST`, `CROFT_TOKEN` | which Croft the CLI speaks to, and as whom ([cli.md](cli.md)) |',
    '| `CROFT_PROJECT` | default of `--project` |',
    '| `NO_COLOR` | no colours |',
    '',
    '## Where things are',
    '',
    '| Directory | Holds | Lost, it means |',
    '| --- | --- | --- |',
    '| data | `store.db` (what you asked for), `box.db` (tasks, sessions, audit), `keys/` (the key of secrets, certificates), `pools/` (disks and images) | everything |',
    '| run | sockets, and per running VM `vms/<id>/` with its launch record and logs | running VMs can no longer be adopted |',
    '| cache | downloads and built images | time |',
    '',
  ].join('\n');

if (import.meta.main) await settle(join(import.meta.dirname, '../../docs/configuration.md'), configurationPage());
