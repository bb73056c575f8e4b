import { readFileSync } from 'node:fs';

const packageFile = new URL('../package.json', import.meta.url);

/** Croft's version, from package.json. */
export const version: string = (JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string }).version;
