/**
 * /v1/disks: the disks that replicated pools are made of. They are wishes in a pool's `spec.disks`; adding, replacing
 * and removing edit that list, and storage follows. A disk is named by its id, its OSD (`osd.1`) or its path.
 */
import { randomUUID } from 'node:crypto';
import { Type } from 'typebox';
import { CroftError } from '../../../appliance/errors.ts';
import { storagePool, type StoragePool } from '../../../appliance/resources/croft-kinds.ts';
import { parseBytes } from '../../../appliance/resources/quantity.ts';
import { editObject } from '../../../appliance/store/edit.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { ListQuery, NameParams, Page, ProjectQuery, strict } from '../../schemas/common.ts';
import { Disk, DiskAdd, DiskLocate, DiskWish } from '../../schemas/disks.ts';
import { allOf } from '../all-of.ts';
import type { Server } from '../context.ts';
import { mustFind } from '../lookup.ts';
import { pageOf } from '../pages.ts';
import { changeQuery } from './collection.ts';

type Wish = NonNullable<StoragePool['spec']['disks']>[number];

/** A wish as the store keeps it, with the id that makes it another disk than any before. */
export const wishOf = ({ path, size, wipe, node }: DiskWish): Wish => ({
  id: randomUUID(),
  path,
  ...(node === undefined ? {} : { node }),
  ...(size === undefined ? {} : { size: parseBytes(size, 'size') }),
  ...(wipe === undefined ? {} : { wipe }),
});

/** The disks of a pool: those wished for, and those on their way out. */
export function disksOf(pool: StoragePool): Disk[] {
  const known = pool.status?.health?.disks ?? [];
  const wished = (pool.spec.disks ?? []).filter(({ id }) => !known.some((disk) => disk.id === id));
  const of = { kind: 'disk' as const, pool: pool.metadata.name };
  return [
    ...known.map((disk) => ({ ...of, ...disk })),
    ...wished.map(({ id, path, size }) => ({
      ...of,
      id,
      name: path,
      path,
      ...(size === undefined ? {} : { size }),
      state: 'pending',
    })),
  ];
}

async function allDisks(store: ResourceStore): Promise<Disk[]> {
  return (await allOf(store, storagePool)).flatMap(disksOf);
}

/** @throws CroftError `not-found` */
async function mustFindDisk(store: ResourceStore, name: string): Promise<Disk> {
  const disks = await allDisks(store);
  const found = disks.find((disk) => disk.id === name || disk.name === name || disk.path === name);
  if (found) return found;
  const there = disks.map((disk) => disk.name).join(', ');
  throw new CroftError('not-found', `There is no disk ${name} in a replicated pool${there ? `; there are ${there}` : ''}.`);
}

/** Edits the pool's list of disks. */
async function editDisks(
  store: ResourceStore,
  pool: string,
  change: (disks: Wish[], replicas: number) => Wish[],
): Promise<Disk[]> {
  const after = await editObject(store, storagePool, { name: pool }, (draft) => {
    draft.spec.disks = change(draft.spec.disks ?? [], draft.spec.replicas ?? 2);
  });
  if (!after) throw new CroftError('not-found', `The pool ${pool} was deleted meanwhile.`);
  return disksOf(after);
}

const refuseTwice = (disks: readonly Wish[], { path, node }: Wish): void => {
  if (disks.some((disk) => disk.path === path && disk.node === node))
    throw new CroftError('already-exists', `path: ${path} is a disk of the pool already.`);
};

/** The one replicated pool, where none is named. @throws CroftError `invalid-input`, `not-found` */
async function poolNamed(store: ResourceStore, name: string | undefined): Promise<StoragePool> {
  if (name !== undefined) return mustFind(store, storagePool, name);
  const items = await allOf(store, storagePool);
  const [only, ...others] = items.filter(({ spec }) => spec.disks !== undefined);
  if (only && others.length === 0) return only;
  throw new CroftError(
    'invalid-input',
    only ? 'pool: name one of the replicated pools.' : 'pool: there is no replicated pool yet.',
  );
}

const read = { config: { permission: 'viewer' as const } };
const write = { config: { permission: 'admin' as const } };
const oneDisk = (disks: Disk[], id: string): Disk => disks.find((disk) => disk.id === id) as Disk;

export function diskRoutes(app: Server): void {
  app.get('/v1/disks', {
    ...read,
    schema: { summary: 'List disks', querystring: Type.Object({ ...ListQuery }, strict), response: { 200: Page(Disk) } },
    handler: async ({ store, query }) => pageOf(await allDisks(store), query),
  });

  app.get('/v1/disks/:name', {
    ...read,
    schema: {
      summary: 'Read a disk',
      params: NameParams,
      querystring: Type.Object({ ...ProjectQuery }, strict),
      response: { 200: Disk },
    },
    handler: async ({ store, params }) => mustFindDisk(store, params.name),
  });

  app.post('/v1/disks', {
    ...write,
    schema: { summary: 'Add a disk to a replicated pool', querystring: changeQuery, body: DiskAdd, response: { 201: Disk } },
    handler: async ({ store, body }, reply) => {
      const pool = await poolNamed(store, body.pool);
      const wish = wishOf(body);
      const disks = await editDisks(store, pool.metadata.name, (present) => {
        refuseTwice(present, wish);
        return [...present, wish];
      });
      reply.code(201);
      return oneDisk(disks, wish.id);
    },
  });

  app.post('/v1/disks/:name/replace', {
    ...write,
    schema: {
      summary: 'Replace a disk by another',
      params: NameParams,
      querystring: changeQuery,
      body: DiskWish,
      response: { 200: Disk },
    },
    handler: async ({ store, params, body }) => {
      const old = await mustFindDisk(store, params.name);
      const wish = wishOf(body);
      if (old.path === wish.path && old.state === 'up') {
        throw new CroftError(
          'invalid-state',
          `Disk ${old.name} works. To put another one in its place, take it out first: croft disk remove ${old.name}.`,
        );
      }
      const disks = await editDisks(store, old.pool, (present) => {
        const others = present.filter(({ id }) => id !== old.id);
        refuseTwice(others, wish);
        return [...others, wish];
      });
      return oneDisk(disks, wish.id);
    },
  });

  app.post('/v1/disks/:name/locate', {
    config: { permission: 'operator' },
    schema: {
      summary: 'Let the light of a disk blink',
      params: NameParams,
      querystring: changeQuery,
      body: DiskLocate,
      response: { 200: Disk },
    },
    handler: async ({ store, params, body }) => {
      const disk = await mustFindDisk(store, params.name);
      if (!disk.path.startsWith('/dev/'))
        throw new CroftError('invalid-state', `Disk ${disk.name} is the file ${disk.path}: it has no light.`);
      const { seconds = 60 } = body;
      const until =
        seconds > 0 ? { locateUntil: new Date(Date.now() + seconds * 1000).toISOString() } : { locateUntil: undefined };
      const disks = await editDisks(store, disk.pool, (present) =>
        present.map((wish) => (wish.id === disk.id ? ({ ...wish, ...until } as Wish) : wish)),
      );
      return oneDisk(disks, disk.id);
    },
  });

  app.delete('/v1/disks/:name', {
    ...write,
    schema: { summary: 'Empty a disk and take it out', params: NameParams, querystring: changeQuery },
    handler: async ({ store, params }, reply) => {
      const old = await mustFindDisk(store, params.name);
      await editDisks(store, old.pool, (present, replicas) => {
        const rest = present.filter(({ id }) => id !== old.id);
        if (rest.length < replicas) {
          throw new CroftError(
            'invalid-state',
            `Pool ${old.pool} keeps ${replicas} copies and has ${present.length} disks: add one first, or replace this one.`,
          );
        }
        return rest;
      });
      return reply.code(204).send();
    },
  });
}
