/** Mutual exclusion by key; of one pool here. */
export { createLocks, type Locks } from '../appliance/reconcile/locks.ts';
