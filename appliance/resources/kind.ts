/**
 * A kind: its names, its scope and its one schema. Validation, TypeScript type, OpenAPI, CLI columns
 * and (in a cluster) the CRD all come from here.
 */
import type { Static, TSchema } from 'typebox';
import type { Resource } from './meta.ts';

/**
 * Where a kind lives (docs/architecture.md, *The store's contract*): `ours` are custom resources in a cluster,
 * `core` are Kubernetes' own.
 */
export type Home = 'ours' | 'core';

/** A column of tables: header and JSON path from the object's root, `.status.phase`. */
export type Column = { header: string; path: string; wide?: boolean };

export type Kind<Spec extends TSchema = TSchema, Status extends TSchema = TSchema> = {
  apiVersion: string;
  kind: string;
  plural: string;
  shortNames: readonly string[];
  namespaced: boolean;
  home: Home;
  spec: Spec;
  status: Status;
  columns: readonly Column[];
};

/** The object type of a kind: `Of<typeof virtualMachine>`. */
export type Of<K extends Kind> = Resource<Static<K['spec']>, Static<K['status']>>;

export const defineKind = <Spec extends TSchema, Status extends TSchema>(
  kind: Omit<Kind<Spec, Status>, 'home' | 'shortNames' | 'columns'> & Partial<Pick<Kind, 'home' | 'shortNames' | 'columns'>>,
): Kind<Spec, Status> => ({ home: 'ours', shortNames: [], columns: [], ...kind });

/** `VirtualMachine default/web-1`, for messages and logs. */
export const describe = (object: Resource): string =>
  `${object.kind} ${object.metadata.namespace ? `${object.metadata.namespace}/` : ''}${object.metadata.name}`;
