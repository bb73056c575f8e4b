/** The box-local records the API keeps: never in etcd, never part of a backup. */
import type { BoxStore } from '../../appliance/store/box/box-store.ts';

export type ApiRecords = Pick<BoxStore, 'audit' | 'idempotency' | 'sessions' | 'oneTime'>;
