/** YAML, loaded when it is wanted: the package costs as much start-up time as the whole rest of the CLI. */
import { createRequire } from 'node:module';

type Yaml = typeof import('yaml');

export const toYaml: Yaml['stringify'] = (value: unknown) => {
  const { stringify } = createRequire(import.meta.url)('yaml') as Yaml;
  return stringify(value);
};
