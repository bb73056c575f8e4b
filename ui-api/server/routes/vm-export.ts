/** /v1/vms/{name}/export and /v1/exports: a VM as an OVA or a disk as qcow2; a task makes it, then it is fetched, by ranges too. */
import { Readable } from 'node:stream';
import { Type } from 'typebox';
import { CroftError } from '../../../appliance/errors.ts';
import type { ExportRecord } from '../../../appliance/ports.ts';
import { snapshotObjectName, virtualMachineSnapshot } from '../../../appliance/resources/snapshot.ts';
import { virtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { ListQuery, NameParams, Page, ProjectQuery, strict } from '../../schemas/common.ts';
import { Task } from '../../schemas/objects.ts';
import { Export, ExportBody } from '../../schemas/transfer.ts';
import type { AppContext, Server } from '../context.ts';
import { defaultProject, mustFind } from '../lookup.ts';
import { pageOf } from '../pages.ts';

const IdParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 64 }) });

const shown = ({ vm, ...record }: ExportRecord) => ({
  kind: 'export' as const,
  name: record.id,
  ...record,
  vm: vm.name,
  project: vm.namespace,
});

/** `bytes=FROM-[TO]` as [from, before]; undefined for all. @throws CroftError `invalid-input` */
export function rangeOf(header: string | undefined, size: number): [number, number] | undefined {
  if (header === undefined) return undefined;
  const [, from, to] = /^bytes=(\d{1,15})-(\d{0,15})$/.exec(header) ?? [];
  if (from === undefined) return undefined; // Other kinds of ranges may be ignored (RFC 9110 §14.2).
  const range: [number, number] = [Number(from), to ? Math.min(Number(to) + 1, size) : size];
  if (range[0] >= range[1])
    throw new CroftError('invalid-input', `Range: ${JSON.stringify(header)} is beyond the ${size} bytes there are.`);
  return range;
}

export function vmExportRoutes(app: Server, { exports, tasks }: AppContext): void {
  const operator = { permission: 'operator' } as const;

  app.post('/v1/vms/:name/export', {
    config: { permission: 'operator', transient: true },
    schema: {
      summary: 'Make an OVA of a VM, or a qcow2 of a disk, also while it runs',
      params: NameParams,
      querystring: Type.Object({ ...ProjectQuery }, strict),
      body: ExportBody,
      response: { 202: Task },
    },
    handler: async ({ store, params, query, body, principal }, reply) => {
      const vm = await mustFind(store, virtualMachine, params.name, query.project);
      const { name, namespace = defaultProject } = vm.metadata;
      const { format = 'ova', snapshot, disk } = body;
      if (disk !== undefined && format === 'ova') {
        throw new CroftError('invalid-input', 'disk: an OVA has all disks; to export one, give format qcow2.');
      }
      const named = snapshot === undefined ? undefined : snapshotObjectName(name, snapshot);
      if (named !== undefined) await mustFind(store, virtualMachineSnapshot, named, namespace);
      const wish = { format, ...(named === undefined ? {} : { snapshot: named }), ...(disk === undefined ? {} : { disk }) };
      const id = await exports.begin({ name, namespace }, { ...wish, ...(principal ? { by: principal.name } : {}) });
      reply.code(202).header('location', `/v1/tasks/${id}`);
      return { kind: 'task' as const, ...(tasks.get(id) as NonNullable<ReturnType<typeof tasks.get>>) };
    },
  });

  app.get('/v1/exports', {
    config: operator,
    schema: {
      summary: 'List exports that can be fetched',
      querystring: Type.Object({ ...ListQuery }, strict),
      response: { 200: Page(Export) },
    },
    handler: async ({ query }) => pageOf((await exports.list()).map(shown), query),
  });

  const mustGet = async (id: string): Promise<ExportRecord> => {
    const found = await exports.get(id);
    if (!found) throw new CroftError('not-found', `There is no export ${id}; its task tells whether it is still being made.`);
    return found;
  };

  app.get('/v1/exports/:id', {
    config: operator,
    schema: { summary: 'Read an export; its id is the task’s', params: IdParams, response: { 200: Export } },
    handler: async ({ params }) => shown(await mustGet(params.id)),
  });

  app.get('/v1/exports/:id/data', {
    config: operator,
    schema: { summary: 'Fetch an export, or a range of its bytes', params: IdParams },
    handler: async ({ params, headers }, reply) => {
      const { id, size, file } = await mustGet(params.id);
      const range = rangeOf(headers.range, size);
      const [start, end] = range ?? [0, size];
      reply
        .code(range ? 206 : 200)
        .header('content-type', 'application/octet-stream')
        .header('content-length', String(end - start))
        .header('content-disposition', `attachment; filename="${file}"`)
        .header('accept-ranges', 'bytes')
        .header('cache-control', 'no-store');
      if (range) reply.header('content-range', `bytes ${start}-${end - 1}/${size}`);
      return reply.send(Readable.from(await exports.read(id, start, end), { objectMode: false }));
    },
  });

  app.delete('/v1/exports/:id', {
    config: { permission: 'operator', transient: true },
    schema: { summary: 'Delete an export', params: IdParams },
    handler: async ({ params }, reply) => {
      await exports.remove(params.id);
      return reply.code(204).send();
    },
  });
}
