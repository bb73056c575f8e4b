/** Writes to the store at argv[2] as fast as it can and tells each acknowledged change on standard output. */
import { writeSync } from 'node:fs';
import { secret } from '../../../appliance/resources/core-kinds.ts';
import { dataVolume } from '../../../appliance/resources/data-volume.ts';
import { openSqliteStore } from '../../../appliance/store/sqlite.ts';

const [path, round] = process.argv.slice(2) as [string, string];
const store = openSqliteStore({ path, changeLogLimit: 64 });
const namespace = `round-${round}`;
const told = (text: string) => writeSync(1, `${text}\n`);

for (let index = 0; ; index++) {
  const name = `v${index}`;
  const made = await store.create(dataVolume, {
    metadata: { name, namespace, annotations: { pad: 'x'.repeat((index * 37) % 3000) } },
    spec: {},
  });
  told(`create ${name}`);
  await store.updateStatus(dataVolume, { ...made, status: { phase: `p${index}` } });
  told(`status ${name} p${index}`);
  await store.create(secret, { metadata: { name, namespace }, spec: { data: { index: String(index) } } });
  told(`secret ${name}`);
  if (index % 3 === 2) {
    await store.delete(dataVolume, `v${index - 1}`, namespace);
    told(`delete v${index - 1}`);
  }
}
