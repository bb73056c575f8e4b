import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { image, singleUseAnnotation, usedByAnnotation } from '../../../appliance/resources/croft-kinds.ts';
import { idLabel, newId } from '../../../appliance/resources/identity.ts';
import { virtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { editObject } from '../../../appliance/store/edit.ts';
import { importGrace, isLeftOver } from '../../../storage/controllers/left-over-images.ts';
import { eventually } from '../../helpers/eventually.ts';
import { startStorageBox, type StorageBox } from '../../helpers/storage-box.ts';

let root: string;
let box: StorageBox;
const now = Date.now();

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'croft-left-'));
  box = await startStorageBox(root);
});
afterEach(async () => {
  await box.close();
  rmSync(root, { recursive: true, force: true });
});

const importedImage = (name: string, annotations: Record<string, string>) =>
  box.store.create(image, {
    metadata: { name, labels: { [idLabel]: newId() }, annotations },
    spec: { source: { upload: {} } },
  });
const ofVm = (vm: string) => ({ [singleUseAnnotation]: 'true', [usedByAnnotation]: vm });

const makeVm = (name: string, source: string) =>
  box.store.create(virtualMachine, {
    metadata: { name, namespace: 'default' },
    spec: {
      template: { spec: { domain: { devices: {} } } },
      dataVolumeTemplates: [
        {
          metadata: { name: `${name}-root` },
          spec: { sourceRef: { kind: 'DataSource', namespace: 'croft-images', name: source } },
        },
      ],
    },
  });

it('is an image of an import whose VM is not there, once the VM had its time to come', async () => {
  const made = await importedImage('a-root-import', ofVm('default/a'));
  const left = await isLeftOver(box.store, made, now);
  expect(left).toBeGreaterThan(importGrace - 60_000);
  expect(await isLeftOver(box.store, made, now + importGrace + 60_000)).toBe(true);
  await makeVm('a', 'a-root-import');
  expect(await isLeftOver(box.store, made, now + importGrace + 60_000)).toBeUndefined();
  await box.store.delete(virtualMachine, 'a', 'default');
  expect(await isLeftOver(box.store, made, now + importGrace + 60_000)).toBe(true);
  // Another VM of this name has no use for it.
  await makeVm('a', 'tiny');
  expect(await isLeftOver(box.store, made, now + importGrace + 60_000)).toBe(true);
});

it('is never an image of somebody, nor one that names no VM', async () => {
  const own = await importedImage('own', {});
  const old = await importedImage('old', { [singleUseAnnotation]: 'true' });
  for (const each of [own, old]) expect(await isLeftOver(box.store, each, now + 10 * importGrace)).toBeUndefined();
});

it('is removed by the controller, with what was sent of it', async () => {
  const made = await importedImage('b-root-import', ofVm('default/b'));
  await box.storage.idle();
  expect(await box.store.get(image, made.metadata.name)).toBeDefined();
  const later = vi.spyOn(Date, 'now').mockReturnValue(now + 2 * importGrace);
  try {
    await editObject(box.store, image, { name: made.metadata.name }, (draft) => {
      draft.metadata.labels = { ...draft.metadata.labels, looked: 'at' };
    });
    await box.storage.idle();
  } finally {
    later.mockRestore();
  }
  await eventually(async () => expect(await box.store.get(image, made.metadata.name)).toBeUndefined());
});
